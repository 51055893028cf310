"""Section 7: which candidates of a class become detections, and what suppresses the others."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from frcnn_cli.engine.boxes import clip_boxes
from frcnn_cli.engine.detection.image import candidates_of, score_views
from frcnn_cli.engine.detection.suppression import (
    Candidates,
    suppress,
    suppressors,
    vote_boxes,
    vote_weights,
)
from frcnn_cli.engine.detection.views import class_scores, moves_boxes
from frcnn_cli.engine.pages.explain.sections.rounding import rounded
from frcnn_cli.engine.pages.explain.subject import Subject

MOST_CLASSES, FEWEST_CLASSES = 12, 3
MOST_CANDIDATES = 100  # of a class
BOX_DIGITS = 5


@torch.inference_mode()
def suppression_numbers(subject: Subject) -> dict[str, Any]:
    """The candidates of the classes with the highest scores, in order, and what happens to each.

    Greedy suppression compares a candidate with better ones only. So what happens to the first
    candidates depends neither on the score threshold nor on later candidates.
    `candidates`: by decreasing score; `by` is the position of the suppressor, or None for a kept
    one, whose `place` counts the kept ones of all classes. A score that is not a number is None:
    such a candidate has no suppressor, and `place` is -1. `voted`: its box after box voting.
    `read`: whether the last head reads the chosen proposals, which are not candidates otherwise.
    """
    settings = subject.settings
    size = subject.image.shape[:2]
    outputs = score_views((subject.maps,), size, settings)
    found = candidates_of(outputs, settings)
    kept = suppress(found, replace(settings, score_threshold=None, top_k=max(1, len(found.rows))))
    by = suppressors(found, kept, settings.nms_iou)
    place = torch.full_like(found.rows, -1).index_copy(0, kept, torch.arange(len(kept)))
    votes = settings.box_voting > 0 and moves_boxes(subject.model, settings)
    classes = []
    for label in _shown_classes(found, settings.score_threshold):
        rows = (found.labels == label).nonzero().squeeze(1)
        shown = rows[:MOST_CANDIDATES]
        position = {row: number for number, row in enumerate(shown.tolist())}
        voted = _voted(found, rows, shown, settings.box_voting) if votes else {}
        candidates = [
            {
                "proposal": int(found.rows[row]),
                "score": rounded(found.scores[row], 6),
                "box": rounded(found.boxes[row], BOX_DIGITS),
                "by": position[int(by.by[row])] if by.by[row] >= 0 else None,
                "iou": rounded(by.iou[row]),
                "place": int(place[row]),
                **voted.get(row, {}),
            }
            for row in position
        ]
        classes.append({"label": label, "count": len(rows), "candidates": candidates})
    return {
        "threshold": settings.score_threshold,
        "nms_iou": settings.nms_iou,
        "max_per_class": settings.max_per_class,
        "top_k": settings.top_k,
        "margins": subject.model.architecture.classifier == "svm",
        "voting": settings.box_voting if votes else None,
        "classes": classes,
        "max_proposals": settings.max_proposals,
        "read": np.isin(subject.chosen, outputs.rows).tolist(),
        "cascade": _cascade(subject),
    }


def _shown_classes(found: Candidates, threshold: float | None) -> list[int]:
    """Labels of the classes with a detection, best first, and of some others if these are few."""
    best: dict[int, float] = {}
    for label, score in zip(found.labels.tolist(), found.scores.tolist(), strict=True):
        best[label] = max(score, best.get(label, score))
    order = sorted(best, key=lambda label: -best[label])
    detected = sum(threshold is None or score >= threshold for score in best.values())
    return order[: min(max(detected, FEWEST_CLASSES), MOST_CLASSES)]


def _voted(found: Candidates, rows: Tensor, shown: Tensor, iou: float) -> dict[int, dict[str, Any]]:
    """The box of each shown candidate after voting by all candidates of its class (rows)."""
    boxes, labels, scores = found.boxes[rows], found.labels[rows], found.scores[rows]
    arguments = (found.boxes[shown], found.labels[shown], boxes, labels, scores, iou)
    weights = vote_weights(*arguments)
    return {
        row: {"voted": rounded(box, BOX_DIGITS), "voters": int((own > 0).sum())}
        for row, box, own in zip(shown.tolist(), vote_boxes(*arguments), weights, strict=True)
    }


def _cascade(subject: Subject) -> list[dict[str, Any]] | None:
    """What the second head changes for each chosen RoI; None for a model with one head.

    label: the most probable class by the first head, whose box `moved` the second head reads.
    first, second, mean: the probability of this class by each head, and their mean. box: the final
    one. A RoI that the second head does not read in detection has the values that it would have.
    """
    model = subject.model
    if model.second is None:
        return None
    outputs = subject.chosen_outputs
    assert outputs.refined is not None
    moved = outputs.refined.rois[:, 1:] / subject.scale
    first = class_scores(model, outputs.first.logits, moved)
    second = class_scores(model, outputs.refined.logits, moved)
    final = clip_boxes(outputs.boxes, *subject.image.shape[:2])
    best = first[:, 1:].argmax(dim=1)
    return [
        {
            "label": int(best[k]) + 1,
            "first": rounded(first[k, best[k] + 1]),
            "second": rounded(second[k, best[k] + 1]),
            "mean": rounded(outputs.scores[k, best[k] + 1]),
            "moved": rounded(moved[k], BOX_DIGITS),
            "box": rounded(final[k, best[k]], BOX_DIGITS),
        }
        for k in range(len(subject.chosen))
    ]
