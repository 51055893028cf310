"""MCG's .mat an image: boxes as downloaded, bboxes and scores from one's own runs."""

from __future__ import annotations

from pathlib import Path

from frcnn_proposals.formats.base import Parsed
from frcnn_proposals.formats.containers.mat import columns_of, numbers
from frcnn_proposals.formats.content import Content
from frcnn_proposals.formats.layout import BoxLayout


class McgMat:
    """rbgirshick/py-faster-rcnn lib/datasets/coco.py; own runs: jponttuset/mcg (up, left,
    down, right).
    """

    name = "mcg-mat"
    title = "MCG <id>.mat (boxes, or bboxes and scores)"
    layouts = (BoxLayout("yxyx", 1),)

    def parse(self, content: Content) -> Parsed | None:
        variables = content.variables
        if "num_candidates" in variables:
            return None
        boxes = numbers(variables.get("bboxes" if "bboxes" in variables else "boxes"))
        if boxes is None:
            return None
        scores = columns_of(variables.get("scores"), len(boxes))
        return Parsed([boxes], None if scores is None else [scores], [self.id_of(content.path)])

    def id_of(self, path: Path) -> str:
        return path.stem
