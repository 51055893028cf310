"""Which object each detection overlaps most, for a whole dataset at once.

Legend: G ground-truth objects, D detections, P pairs of a detection and an object that may
match (of one image, and of one class or of two).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from frcnn_cli.engine.boxes import iou
from frcnn_cli.engine.evaluation.tables import DetectionTable, TruthTable

NO_OBJECT = -1
Candidates = Literal["same class", "other classes"]


@dataclass(frozen=True)
class OverlappedObjects:
    """object (D,): index of the object that each detection overlaps most, NO_OBJECT where its
    group has none (the first of several equals); iou (D,): by how much, 0 where none."""

    object: NDArray[np.int64]
    iou: NDArray[np.float64]


def most_overlapped(
    detections: DetectionTable, truth: TruthTable, among: Candidates = "same class"
) -> OverlappedObjects:
    """For every detection the object of its image that it overlaps most, among those of its
    own class or those of all other classes."""
    best_object = np.full(len(detections), NO_OBJECT)
    best_iou = np.zeros(len(detections))
    detection, candidate = _pairs(detections, truth, among)
    if len(detection):
        overlaps = iou(detections.boxes[detection], truth.boxes[candidate])
        # Pairs of one detection are neighbours, its objects in order.
        starts = np.flatnonzero(np.diff(detection, prepend=-1))
        highest = np.maximum.reduceat(overlaps, starts)
        lengths = np.diff(starts, append=len(overlaps))
        at_highest = np.flatnonzero(overlaps == np.repeat(highest, lengths))
        first = at_highest[np.searchsorted(at_highest, starts)]
        best_object[detection[starts]] = candidate[first]
        best_iou[detection[starts]] = highest
    return OverlappedObjects(best_object, best_iou)


def first_claims(claims: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(D,) bool: whether each detection, in order of score, is the first to claim its object.

    claims: (D,) object indices, NO_OBJECT for a detection that claims none.
    """
    first = np.zeros(len(claims), bool)
    first[np.unique(claims, return_index=True)[1]] = True
    first[claims == NO_OBJECT] = False
    return first


def _pairs(
    detections: DetectionTable, truth: TruthTable, among: Candidates
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(P,) detection and (P,) object indices of all pairs in one group, by detection."""
    of_detection, of_object = detections.image, truth.image
    if among == "same class":
        labels = 1 + max(detections.label.max(initial=0), truth.label.max(initial=0))
        of_detection = of_detection * labels + detections.label
        of_object = of_object * labels + truth.label
    by_group = np.argsort(of_object, kind="stable")
    grouped = of_object[by_group]
    start = np.searchsorted(grouped, of_detection, side="left")
    count = np.searchsorted(grouped, of_detection, side="right") - start
    detection = np.repeat(np.arange(len(detections)), count)
    # 0, 1, ... within each detection's pairs.
    within = np.arange(len(detection)) - np.repeat(np.cumsum(count) - count, count)
    candidate = by_group[np.repeat(start, count) + within]
    if among == "other classes":
        differs = detections.label[detection] != truth.label[candidate]
        return detection[differs], candidate[differs]
    return detection, candidate
