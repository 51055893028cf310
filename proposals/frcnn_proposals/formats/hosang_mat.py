"""Hosang et al.'s .mat an image: boxes, scores and num_candidates, in cells if run repeatedly."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from frcnn_proposals.formats.base import Parsed
from frcnn_proposals.formats.containers.mat import cells, columns_of, numbers
from frcnn_proposals.formats.content import Content
from frcnn_proposals.formats.layout import BoxLayout


class HosangMat:
    """hosang/detection-proposals README and shared/get_candidates.m.

    A method that cannot rank was run several times, for different counts: the run with the
    most boxes is taken.
    """

    name = "hosang-mat"
    title = "Hosang et al. <id>.mat (boxes, scores, num_candidates)"
    layouts = (BoxLayout("xyxy", 1),)

    def parse(self, content: Content) -> Parsed | None:
        variables = content.variables
        if not {"boxes", "scores", "num_candidates"} <= variables.keys():
            return None
        runs = cells(variables["boxes"])
        each_scores = cells(variables["scores"])
        if runs is None:
            runs, each_scores = [variables["boxes"]], [variables["scores"]]
        found = [numbers(run) for run in runs]
        counts = [-1 if run is None else len(run) for run in found]
        largest = int(np.argmax(counts)) if counts else 0
        boxes = found[largest] if found else None
        if boxes is None:
            return None
        scores = None
        if each_scores is not None and len(each_scores) == len(runs):
            scores = columns_of(each_scores[largest], len(boxes))
        remark = f"the largest of {len(runs)} runs, {len(boxes)} boxes, is taken"
        return Parsed(
            [boxes],
            None if scores is None else [scores],
            [self.id_of(content.path)],
            remarks=(remark,) if len(runs) > 1 else (),
        )

    def id_of(self, path: Path) -> str:
        return path.stem
