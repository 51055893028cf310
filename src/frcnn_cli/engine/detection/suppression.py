"""From scored boxes to the detections of one image: selection, suppression, box voting.

Shapes: S RoIs, K classes, M candidates (a box of a RoI for one class), D detections. Boxes have
inclusive corners in pixels of the original image.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from frcnn_cli.engine.boxes import blocks, continuous, iou_matrix
from frcnn_cli.engine.settings import DetectSettings
from frcnn_kernels import batched_nms


class Candidates(NamedTuple):
    """The best boxes of each class; those of one class are in the order of their scores.

    rows: (M,), the index of each box's RoI. scores: (M,). boxes: (M, 4). labels: (M,), 1..K.
    """

    rows: Tensor
    scores: Tensor
    boxes: Tensor
    labels: Tensor


class Suppressors(NamedTuple):
    """What suppressed each candidate: the index of a kept candidate, or -1, and their IoU.

    by: (M,), -1 for kept candidates and those whose score is not a number. iou: (M,), 0 for these.
    """

    by: Tensor
    iou: Tensor


def best_of_each_class(scores: Tensor, boxes: Tensor, max_per_class: int) -> Candidates:
    """The best max_per_class boxes of each class; of equal scores, the first ones.

    scores: (S, K + 1), with the background in column 0. boxes: (S, K, 4).
    """
    scores = scores[:, 1:]
    rows = _ranks(scores).topk(min(max_per_class, len(scores)), dim=0).indices
    best = scores.gather(0, rows)
    columns = torch.arange(best.shape[1], device=best.device).expand_as(best)
    rows, columns = rows.flatten(), columns.flatten()
    return Candidates(rows, best.flatten(), boxes[rows, columns], columns + 1)


def suppress(candidates: Candidates, settings: DetectSettings) -> Tensor:
    """Indices (D,) of the candidates that become detections, highest score first.

    These are the candidates that reach the score threshold, after non-maximum suppression per
    class, at most settings.top_k.
    """
    threshold = -math.inf if settings.score_threshold is None else settings.score_threshold
    passed = torch.nonzero(candidates.scores >= threshold).squeeze(1)
    boxes = continuous(candidates.boxes[passed])
    scores, labels = candidates.scores[passed], candidates.labels[passed]
    kept = batched_nms(boxes, scores, labels, settings.nms_iou)
    return passed[kept[: settings.top_k]]


def suppressors(candidates: Candidates, kept: Tensor, nms_iou: float) -> Suppressors:
    """The kept candidate that removed each other one: the first that overlaps it too much.

    candidates: of any classes. kept: (D,), by `suppress` without a threshold or a limit, so that
    all others were removed by one of these.
    """
    by, overlap = torch.full_like(candidates.labels, -1), torch.zeros_like(candidates.scores)
    is_removed = torch.ones(len(by), dtype=torch.bool, device=kept.device)
    removed = is_removed.index_fill(0, kept, False).nonzero().squeeze(1)
    if len(kept) == 0:  # all scores are NaN
        return Suppressors(by, overlap)
    for block in blocks(len(removed), len(kept)):
        rows = removed[block]
        overlaps = iou_matrix(candidates.boxes[rows], candidates.boxes[kept])
        overlaps *= candidates.labels[rows, None] == candidates.labels[kept]
        # A worse box suppresses nothing. Equal scores are in the order of the candidates.
        better = candidates.scores[kept] - candidates.scores[rows, None]
        overlaps *= (better > 0) | ((better == 0) & (kept < rows[:, None]))
        high = overlaps > nms_iou
        first = high.int().argmax(dim=1)
        # The operator rounds differently in the last bit: here, no IoU may exceed the threshold.
        first = torch.where(high.any(dim=1), first, overlaps.argmax(dim=1))
        highest = overlaps.gather(1, first[:, None]).squeeze(1)
        by[rows] = torch.where(highest > 0, kept[first], -1)
        overlap[rows] = highest
    return Suppressors(by, overlap)


def _ranks(scores: Tensor) -> Tensor:
    """Different integers in the order of the scores of each column; int64 (S, K).

    Of equal scores, the first row has the largest integer. `topk` does not define their order, and
    a stable sort of all rows takes five times as long.
    """
    bits = (scores + 0.0).view(torch.int32)  # of positive numbers, in their order; -0 becomes 0
    increasing = torch.where(bits < 0, bits ^ 0x7FFFFFFF, bits).long()
    rows = torch.arange(len(scores), device=scores.device)
    return (increasing << 32) - rows[:, None]


def vote_boxes(
    kept: Tensor, labels: Tensor, boxes: Tensor, box_labels: Tensor, scores: Tensor, iou: float
) -> Tensor:
    """Box voting: the mean of all boxes of its class whose IoU with a detection is at least `iou`.

    The mean is weighted by score (S. Gidaris and N. Komodakis, ICCV 2015). Negative scores (of
    SVMs) count as 0; a detection whose weights are all 0 stays unchanged.
    kept (D, 4) with labels (D,): the detections after suppression. boxes (M, 4) with
    box_labels (M,) and scores (M,): the boxes before it. Returns the new boxes (D, 4) of the
    detections.
    """
    voted = kept.clone()
    for label in sorted(set(labels.tolist())):
        rows = torch.nonzero(labels == label).squeeze(1)
        own = torch.nonzero(box_labels == label).squeeze(1)
        for block in blocks(len(rows), len(own)):
            at = rows[block]
            arguments = (kept[at], labels[at], boxes[own], box_labels[own], scores[own], iou)
            voted[at] = vote_block(*arguments)
    return voted


def vote_block(
    kept: Tensor, labels: Tensor, boxes: Tensor, box_labels: Tensor, scores: Tensor, iou: float
) -> Tensor:
    """The boxes of `vote_boxes` with a matrix of D x M numbers, without a loop."""
    weighted = vote_weights(kept, labels, boxes, box_labels, scores, iou)
    total = weighted.sum(dim=1, keepdim=True)
    return torch.where(total > 0, weighted @ boxes / total, kept)


def vote_weights(
    kept: Tensor, labels: Tensor, boxes: Tensor, box_labels: Tensor, scores: Tensor, iou: float
) -> Tensor:
    """The weight (D, M) of each box in the mean of each detection; 0 for those that do not vote."""
    votes = (iou_matrix(kept, boxes) >= iou) & (labels[:, None] == box_labels)
    return votes * scores.clamp(min=0)
