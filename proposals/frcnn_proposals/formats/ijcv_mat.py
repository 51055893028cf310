"""One .mat an image with its boxes, as Fast R-CNN reads it: 1-based of the IJCV selective search,
0-based of the demo. The two differ in nothing else.
"""

from __future__ import annotations

from pathlib import Path

from frcnn_proposals.formats.base import Parsed
from frcnn_proposals.formats.containers.mat import numbers
from frcnn_proposals.formats.content import Content
from frcnn_proposals.formats.layout import BoxLayout


class IjcvMat:
    """rbgirshick/fast-rcnn lib/datasets/pascal_voc.py, _load_selective_search_IJCV_roidb."""

    name = "ijcv-mat"
    title = "IJCV selective search <id>.mat (boxes)"
    layouts = (BoxLayout("xyxy", 1),)

    def parse(self, content: Content) -> Parsed | None:
        variables = content.variables
        boxes = numbers(variables.get("boxes"))
        if boxes is None or "scores" in variables or "num_candidates" in variables:
            return None
        return Parsed([boxes], ids=[self.id_of(content.path)])

    def id_of(self, path: Path) -> str:
        return path.stem


class DemoMat(IjcvMat):
    """rbgirshick/fast-rcnn tools/demo.py."""

    name = "demo-mat"
    title = "Fast R-CNN demo <id>_boxes.mat (boxes)"
    layouts = (BoxLayout("xyxy", 0),)

    def id_of(self, path: Path) -> str:
        return path.stem.removesuffix("_boxes")
