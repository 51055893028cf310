"""selective_search_ijcv_with_python's .mat: the cell all_boxes, whose base differs by version."""

from __future__ import annotations

from frcnn_proposals.formats.base import Parsed
from frcnn_proposals.formats.containers.mat import tables
from frcnn_proposals.formats.content import Content
from frcnn_proposals.formats.layout import BoxLayout


class SergeykMat:
    """sergeyk/selective_search_ijcv_with_python; one version subtracts 1 and another does not."""

    name = "sergeyk-mat"
    title = "selective_search_ijcv_with_python .mat (cell all_boxes)"
    layouts = (BoxLayout("yxyx", 0), BoxLayout("yxyx", 1))

    def parse(self, content: Content) -> Parsed | None:
        boxes = tables(content.variables.get("all_boxes"))
        return None if boxes is None else Parsed(boxes)
