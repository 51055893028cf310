"""The <id>_boxes.mat files that the Fast R-CNN demo reads: boxes, 0-based."""

from __future__ import annotations

from pathlib import Path

from frcnn_proposals.formats.base import Parsed
from frcnn_proposals.formats.content import Content
from frcnn_proposals.formats.layout import BoxLayout
from frcnn_proposals.formats.mat import numbers


class DemoMat:
    """rbgirshick/fast-rcnn tools/demo.py."""

    name = "demo-mat"
    title = "Fast R-CNN demo <id>_boxes.mat (boxes)"
    layouts = (BoxLayout("xyxy", 0),)

    def parse(self, content: Content) -> Parsed | None:
        variables = content.variables
        boxes = numbers(variables.get("boxes"))
        if boxes is None or "scores" in variables or "num_candidates" in variables:
            return None
        return Parsed([boxes], ids=[self.id_of(content.path)])

    def id_of(self, path: Path) -> str:
        return path.stem.removesuffix("_boxes")
