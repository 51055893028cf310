"""Correct localisation (CorLoc): how often the best box of a class in an image is right.

T. Deselaers, B. Alexe and V. Ferrari, IJCV 2012. It is computed on images whose labels are known,
usually those that a detector was trained on: for each image and each class in it, only the
detection with the highest score counts.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frcnn_cli.engine.evaluation.matching import NO_OBJECT, most_overlapped
from frcnn_cli.engine.evaluation.tables import DetectionTable, TruthTable, by_name
from frcnn_cli.engine.evaluation.voc import mean_where_defined

RULE = (
    "CorLoc: for each image and each class of its counted objects, the detection with the highest "
    "score is right if IoU >= 0.5 with an object of the class."
)


@dataclass(frozen=True)
class CorLocCounts:
    """Counts of pairs of an image and a class in it.

    pairs: all; right: their best box is right; without_box: they have no detection of the class.
    """

    name: str
    pairs: int
    right: int
    without_box: int

    @property
    def corloc(self) -> float | None:
        """The share of right pairs; None without pairs."""
        return self.right / self.pairs if self.pairs else None


@dataclass(frozen=True)
class CorLocResult:
    """The result on a dataset. total: the sums over all classes."""

    iou_threshold: float
    total: CorLocCounts
    per_class: tuple[CorLocCounts, ...]

    @property
    def corloc(self) -> float | None:
        """The mean over the classes that have a pair; None if no class has one."""
        return mean_where_defined([item.corloc for item in self.per_class])

    def to_json(self) -> dict[str, Any]:
        """JSON values: corloc, pairs, right, without_box, and per_class by name."""
        total = {key: value for key, value in asdict(self.total).items() if key != "name"}
        per_class = by_name(self.per_class)
        for item in self.per_class:
            per_class[item.name]["corloc"] = item.corloc
        return {
            "iou_threshold": self.iou_threshold,
            "corloc": self.corloc,
            **total,
            "per_class": per_class,
        }


def evaluate_corloc(
    classes: tuple[str, ...],
    truth: TruthTable,
    detections: DetectionTable,
    iou_threshold: float = 0.5,
) -> CorLocResult:
    """Compare the best detection of each image and class in it with the objects of this class.

    A class is in an image if an object that counts has it. The best detection is right if its IoU
    with any object of its class is at least the threshold, also with a difficult one or a crowd.
    Of equal scores, the first detection is the best. A pair without detection is wrong.
    """
    labels = len(classes) + 1
    pairs = np.unique(_keys(truth, labels)[~truth.ignored])
    # Detections are sorted by score: the first one of each pair is its best.
    detected, first = np.unique(_keys(detections, labels), return_index=True)
    of_pairs = np.isin(detected, pairs)
    best = detections.take(first[of_pairs])
    overlaps = most_overlapped(best, truth)
    right = (overlaps.iou >= iou_threshold) & (overlaps.object != NO_OBJECT)
    missing = np.setdiff1d(pairs, detected[of_pairs])

    def counts(keys: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.bincount(keys % labels, minlength=labels)[1:]

    columns = (counts(pairs), counts(detected[of_pairs][right]), counts(missing))
    per_class = tuple(
        CorLocCounts(name, *map(int, values))
        for name, *values in zip(classes, *columns, strict=True)
    )
    total = CorLocCounts("all", *(int(column.sum()) for column in columns))
    return CorLocResult(iou_threshold, total, per_class)


def _keys(table: TruthTable | DetectionTable, labels: int) -> NDArray[np.int64]:
    """One number per pair of an image and a class."""
    return table.image * labels + table.label
