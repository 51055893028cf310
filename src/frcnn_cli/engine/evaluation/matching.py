"""Which object each detection overlaps most, for a whole data set at once.

Legend: G ground-truth objects, D detections, P pairs of a detection and an object that may
match (of one image, and of one class or of two).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from frcnn_cli.engine.evaluation.tables import DetectionTable, TruthTable

NO_OBJECT = -1
Candidates = Literal["same class", "other classes"]


@dataclass(frozen=True)
class Overlaps:
    """object (D,): index of the object that each detection overlaps most, NO_OBJECT where its
    group has none (the first of several equals); iou (D,): by how much, 0 where none."""

    object: NDArray[np.int64]
    iou: NDArray[np.float64]


def best_overlaps(
    detections: DetectionTable, truth: TruthTable, among: Candidates = "same class"
) -> Overlaps:
    """For every detection the object of its image that it overlaps most, among those of its
    own class or those of all other classes."""
    best_object = np.full(len(detections), NO_OBJECT)
    best_iou = np.zeros(len(detections))
    detection, candidate = _pairs(detections, truth, among)
    if len(detection):
        iou = paired_iou(detections.boxes[detection], truth.boxes[candidate])
        # Pairs of one detection are neighbours, its objects in order.
        starts = np.flatnonzero(np.diff(detection, prepend=-1))
        highest = np.maximum.reduceat(iou, starts)
        lengths = np.diff(starts, append=len(iou))
        at_highest = np.flatnonzero(iou == np.repeat(highest, lengths))
        first = at_highest[np.searchsorted(at_highest, starts)]
        best_object[detection[starts]] = candidate[first]
        best_iou[detection[starts]] = highest
    return Overlaps(best_object, best_iou)


def first_claims(claims: NDArray[np.int64]) -> NDArray[np.bool_]:
    """(D,) bool: whether each detection, in order of score, is the first to claim its object.

    claims: (D,) object indices, NO_OBJECT for a detection that claims none.
    """
    first = np.zeros(len(claims), bool)
    first[np.unique(claims, return_index=True)[1]] = True
    first[claims == NO_OBJECT] = False
    return first


def paired_iou(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """IoU, (P,), of a[i] (P, 4) with b[i] (P, 4): inclusive corners, so a width is x2 - x1 + 1.

    Two boxes without area have IoU 0.
    """
    width = np.minimum(a[:, 2], b[:, 2]) - np.maximum(a[:, 0], b[:, 0]) + 1
    height = np.minimum(a[:, 3], b[:, 3]) - np.maximum(a[:, 1], b[:, 1]) + 1
    intersection = np.maximum(width, 0) * np.maximum(height, 0)
    union = _areas(a) + _areas(b) - intersection
    iou = np.zeros(len(a))
    np.divide(intersection, union, out=iou, where=union > 0)
    return iou


def _areas(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    width = np.maximum(boxes[:, 2] - boxes[:, 0] + 1, 0)
    areas: NDArray[np.float64] = width * np.maximum(boxes[:, 3] - boxes[:, 1] + 1, 0)
    return areas


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
