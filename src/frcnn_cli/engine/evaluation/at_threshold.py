"""Precision, recall and confusions of the detections that score at least a threshold.

An average precision and an error analysis count detections of every score. Whoever uses a
detector sees only those above a threshold.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from frcnn_cli.engine.evaluation.matching import NO_OBJECT, first_claims, most_overlapped
from frcnn_cli.engine.evaluation.tables import DetectionTable, TruthTable
from frcnn_cli.engine.evaluation.voc import match_detections

_FOREGROUND = 0.5  # IoU of a match


@dataclass(frozen=True)
class ClassAtThreshold:
    """The counts of one class. detections: those that do not match an ignored object."""

    name: str
    objects: int
    detections: int
    right: int

    @property
    def precision(self) -> float | None:
        """The share of the detections that are right; None without detections."""
        return self.right / self.detections if self.detections else None

    @property
    def recall(self) -> float | None:
        """The share of the objects that are found; None without objects."""
        return self.right / self.objects if self.objects else None


@dataclass(frozen=True)
class AtThreshold:
    """The results at one threshold.

    total: over all classes. confusion (K + 1, K + 1): number of objects of each class (row) that
    were detected as each class (column). The last row counts detections without an object, the
    last column objects without a detection.
    """

    threshold: float
    total: ClassAtThreshold
    per_class: tuple[ClassAtThreshold, ...]
    confusion: NDArray[np.int64]


def evaluate_at_threshold(
    classes: tuple[str, ...], truth: TruthTable, found: DetectionTable, threshold: float
) -> AtThreshold:
    """Count the detections that score at least `threshold`.

    Right detections are those of the VOC rules. Each other detection, in order of score, is
    assigned to the object of another class that it overlaps most, if the IoU is at least 0.5 and
    the object is not found otherwise.
    """
    shown = found.take(found.score >= threshold)
    matches = match_detections(truth, shown, _FOREGROUND)
    counted = ~matches.ignored
    is_found = truth.ignored.copy()
    is_found[matches.object[matches.right]] = True
    remaining = np.flatnonzero(~is_found)
    wrong = np.flatnonzero(counted & ~matches.right)
    overlaps = most_overlapped(shown.take(wrong), truth.take(remaining), "other classes")
    claims = np.where(overlaps.iou >= _FOREGROUND, overlaps.object, NO_OBJECT)
    claims[~first_claims(claims)] = NO_OBJECT

    nothing = len(classes)
    of_detection = np.full(len(wrong), nothing)
    of_detection[claims != NO_OBJECT] = truth.label[remaining[claims[claims != NO_OBJECT]]] - 1
    missed = np.delete(remaining, claims[claims != NO_OBJECT])
    confusion = np.zeros((nothing + 1, nothing + 1), np.int64)
    right_labels = shown.label[matches.right] - 1
    np.add.at(confusion, (right_labels, right_labels), 1)
    np.add.at(confusion, (of_detection, shown.label[wrong] - 1), 1)
    np.add.at(confusion, (truth.label[missed] - 1, np.full(len(missed), nothing)), 1)

    labels = (truth.label[~truth.ignored], shown.label[counted], shown.label[matches.right])
    counts = (np.bincount(label - 1, minlength=len(classes)).tolist() for label in labels)
    per_class = tuple(
        ClassAtThreshold(name, *of_class) for name, *of_class in zip(classes, *counts, strict=True)
    )
    sums = (sum(getattr(item, key) for item in per_class) for key in _COUNTS)
    return AtThreshold(threshold, ClassAtThreshold("all", *sums), per_class, confusion)


_COUNTS = ("objects", "detections", "right")
