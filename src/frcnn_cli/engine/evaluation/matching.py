"""Find the object that each detection overlaps most, for a whole dataset at once.

Legend: G ground-truth objects, D detections, P pairs of a detection and an object of the same
image (and of the same class, or of different classes).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from frcnn_cli.engine.boxes import iou
from frcnn_cli.engine.evaluation.tables import DetectionTable, TruthTable

NO_OBJECT = -1
_PAIRS_AT_ONCE = 1 << 18
Candidates = Literal["same class", "other classes"]


@dataclass(frozen=True)
class OverlappedObjects:
    """The object that each detection overlaps most.

    object (D,): its index (the first one in case of a tie), or NO_OBJECT if there is no
    candidate. iou (D,): the IoU with it, or 0.
    """

    object: NDArray[np.int64]
    iou: NDArray[np.float64]


def most_overlapped(
    detections: DetectionTable, truth: TruthTable, among: Candidates = "same class"
) -> OverlappedObjects:
    """For every detection, the object of its image that it overlaps most.

    among: the candidates, either objects of the detection's class or of all other classes.
    """
    best_object = np.full(len(detections), NO_OBJECT)
    best_iou = np.zeros(len(detections))
    for detection, candidate in _pairs(detections, truth, among):
        if len(detection) == 0:
            continue
        overlaps = iou(detections.boxes[detection], truth.boxes[candidate])
        # The pairs of a detection are contiguous, with its objects in order.
        starts = np.flatnonzero(np.diff(detection, prepend=-1))
        highest = np.maximum.reduceat(overlaps, starts)
        lengths = np.diff(starts, append=len(overlaps))
        at_highest = np.flatnonzero(overlaps == np.repeat(highest, lengths))
        first = at_highest[np.searchsorted(at_highest, starts)]
        best_object[detection[starts]] = candidate[first]
        best_iou[detection[starts]] = highest
    return OverlappedObjects(best_object, best_iou)


def first_claims(claims: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(D,) bool: whether each detection is the first, in order of score, to claim its object.

    claims: (D,) object indices, NO_OBJECT for a detection without a claim.
    """
    first = np.zeros(len(claims), bool)
    first[np.unique(claims, return_index=True)[1]] = True
    first[claims == NO_OBJECT] = False
    return first


def _pairs(
    detections: DetectionTable, truth: TruthTable, among: Candidates
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """(P,) detection and (P,) object indices of all pairs, ordered by detection, in blocks.

    A block has all pairs of its detections, about _PAIRS_AT_ONCE in total.
    """
    detection_group, object_group = detections.image, truth.image
    if among == "same class":
        labels = 1 + max(detections.label.max(initial=0), truth.label.max(initial=0))
        detection_group = detection_group * labels + detections.label
        object_group = object_group * labels + truth.label
    by_group = np.argsort(object_group, kind="stable")
    sorted_groups = object_group[by_group]
    start = np.searchsorted(sorted_groups, detection_group, side="left")
    count = np.searchsorted(sorted_groups, detection_group, side="right") - start
    total = np.cumsum(count)
    first = 0
    while first < len(count):
        limit = total[first] - count[first] + _PAIRS_AT_ONCE
        last = max(first + 1, int(np.searchsorted(total, limit, side="right")))
        block = slice(first, last)
        detection = np.repeat(np.arange(first, last), count[block])
        # 0, 1, ... within each detection's pairs.
        before = np.repeat(total[block] - count[block], count[block]) - (
            total[first] - count[first]
        )
        within = np.arange(len(detection)) - before
        candidate = by_group[np.repeat(start[block], count[block]) + within]
        if among == "other classes":
            differs = detections.label[detection] != truth.label[candidate]
            detection, candidate = detection[differs], candidate[differs]
        yield detection, candidate
        first = last
