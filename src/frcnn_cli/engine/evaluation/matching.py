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
    claiming = np.flatnonzero(claims != NO_OBJECT)
    first[claiming[np.unique(claims[claiming], return_index=True)[1]]] = True
    return first


def _pairs(
    detections: DetectionTable, truth: TruthTable, among: Candidates
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """(P,) detection and (P,) object indices of all pairs, ordered by detection, in blocks.

    A block has all pairs of its detections, about _PAIRS_AT_ONCE in total, and at most as many
    detections.
    """
    labels = 1
    if among == "same class":
        labels += int(max(detections.label.max(initial=0), truth.label.max(initial=0)))
    object_group = _groups(truth, labels)
    by_group = np.argsort(object_group, kind="stable")
    sorted_groups = object_group[by_group]
    for begin in range(0, len(detections), _PAIRS_AT_ONCE):
        part = slice(begin, begin + _PAIRS_AT_ONCE)
        group = _groups(detections, labels, part)
        start = np.searchsorted(sorted_groups, group, side="left")
        count = np.searchsorted(sorted_groups, group, side="right") - start
        total = np.cumsum(count)
        first = 0
        while first < len(count):
            limit = total[first] - count[first] + _PAIRS_AT_ONCE
            last = max(first + 1, int(np.searchsorted(total, limit, side="right")))
            block = slice(first, last)
            row = np.repeat(np.arange(first, last), count[block])
            # 0, 1, ... within each detection's pairs.
            before = total[first] - count[first]
            within = np.arange(len(row)) - (total[row] - count[row] - before)
            detection, candidate = begin + row, by_group[start[row] + within]
            if among == "other classes":
                differs = detections.label[detection] != truth.label[candidate]
                detection, candidate = detection[differs], candidate[differs]
            yield detection, candidate
            first = last


def _groups(
    table: DetectionTable | TruthTable, labels: int, rows: slice = slice(None)
) -> NDArray[np.int64]:
    """A number for each image, or with several labels for each image and class."""
    if labels == 1:
        return table.image[rows]
    return table.image[rows] * labels + table.label[rows]
