"""py-faster-rcnn's rpn .pkl: a list of N x 4 tables, in the order of the image set."""

from __future__ import annotations

from frcnn_proposals.formats.base import Parsed
from frcnn_proposals.formats.containers.tables import list_of_tables
from frcnn_proposals.formats.content import Content
from frcnn_proposals.formats.layout import BoxLayout


class PyFasterRcnnPkl:
    """rbgirshick/py-faster-rcnn lib/datasets/pascal_voc.py, rpn_roidb."""

    name = "py-faster-rcnn"
    title = "py-faster-rcnn rpn .pkl (list of N x 4)"
    layouts = (BoxLayout("xyxy", 0),)

    def parse(self, content: Content) -> Parsed | None:
        if content.kind != "pickle" or not isinstance(content.value, list) or not content.value:
            return None
        boxes = list_of_tables(content.value)
        return None if boxes is None else Parsed(boxes)
