"""VOC average precision, by the devkit's rules.

Each detection, in order of score, is compared with the object of its class and image that it
overlaps most. It is right if that IoU is at least the threshold and no earlier detection matched
the object; a second match of the same object is wrong; a match of a difficult object is ignored.
Boxes count inclusive pixels (+ 1).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frcnn_cli.engine.evaluation.average_precision import ap_11point, ap_area, precision_recall
from frcnn_cli.engine.evaluation.matching import NO_OBJECT, first_claims, most_overlapped
from frcnn_cli.engine.evaluation.tables import (
    DetectionTable,
    TruthTable,
    by_name,
    detection_table,
    rows_by_group,
    truth_table,
)
from frcnn_cli.engine.records import Dataset, Detections


@dataclass(frozen=True)
class VocClassResult:
    """The results of one class. Both APs are None without any counted object.

    objects: counted objects; ignored: difficult objects and crowds; detections: all detections;
    right, wrong: true and false positives (the other detections match ignored objects).
    """

    name: str
    ap_11point: float | None
    ap_area: float | None
    objects: int
    ignored: int
    detections: int
    right: int
    wrong: int


@dataclass(frozen=True)
class VocResult:
    """Means over the classes that have an object; None if no class has one."""

    iou_threshold: float
    map_11point: float | None
    map_area: float | None
    per_class: tuple[VocClassResult, ...]

    def to_json(self) -> dict[str, Any]:
        """JSON values: map_11point, map_area, and per_class by name."""
        return {**asdict(self), "per_class": by_name(self.per_class)}


@dataclass(frozen=True)
class DetectionMatches:
    """The result for each detection, (D,) in order of score: right, ignored, or else wrong.

    object (D,): index of the matched object, or NO_OBJECT.
    """

    right: NDArray[np.bool_]
    ignored: NDArray[np.bool_]
    object: NDArray[np.int64]


def evaluate_voc(
    dataset: Dataset, detections: Mapping[str, Detections], iou_threshold: float = 0.5
) -> VocResult:
    """Evaluate detections, by image id, on a dataset.

    Detections on images that are not in the dataset are ignored. All objects of an image without
    detections are missed. Equal scores keep the dataset's order.
    Raises MisuseError for an image without annotation, ValueError for a label outside 1..K.
    """
    truth, found = truth_table(dataset), detection_table(dataset, detections)
    return evaluate_voc_tables(dataset.classes, truth, found, iou_threshold)


def evaluate_voc_tables(
    classes: tuple[str, ...],
    truth: TruthTable,
    detections: DetectionTable,
    iou_threshold: float = 0.5,
) -> VocResult:
    """evaluate_voc on existing tables."""
    matches = match_detections(truth, detections, iou_threshold)
    rows = _rows_by_class(classes, truth, detections)
    per_class = tuple(
        _class_result(name, truth.ignored[objects], found, matches) for name, objects, found in rows
    )
    return VocResult(
        iou_threshold,
        mean_where_defined([item.ap_11point for item in per_class]),
        mean_where_defined([item.ap_area for item in per_class]),
        per_class,
    )


def match_detections(
    truth: TruthTable, detections: DetectionTable, iou_threshold: float
) -> DetectionMatches:
    """Match all classes at once. Even with a threshold of 0, a match needs an object."""
    overlaps = most_overlapped(detections, truth)
    matched = (overlaps.iou >= iou_threshold) & (overlaps.object != NO_OBJECT)
    ignored = np.zeros(len(detections), bool)
    ignored[matched] = truth.ignored[overlaps.object[matched]]
    claims = np.where(matched & ~ignored, overlaps.object, NO_OBJECT)
    right = first_claims(claims)
    return DetectionMatches(right, ignored, np.where(right, claims, NO_OBJECT))


def mean_where_defined(values: list[float | None]) -> float | None:
    """The mean of the values that are not None; None if all are."""
    defined = [value for value in values if value is not None]
    return float(np.mean(defined)) if defined else None


def _rows_by_class(
    classes: tuple[str, ...], truth: TruthTable, detections: DetectionTable
) -> Iterator[tuple[str, NDArray[np.int64], NDArray[np.int64]]]:
    """The name of each class, its objects and its detections."""
    objects, found = (
        rows_by_group(table.label - 1, np.arange(len(table)), len(classes))
        for table in (truth, detections)
    )
    return zip(classes, objects, found, strict=True)


def _class_result(
    name: str,
    ignored_objects: NDArray[np.bool_],
    found: NDArray[np.int64],
    matches: DetectionMatches,
) -> VocClassResult:
    """found: the rows of the detections of the class."""
    right = matches.right[found[~matches.ignored[found]]]
    objects = int((~ignored_objects).sum())
    precision, recall = precision_recall(right, objects)
    return VocClassResult(
        name,
        ap_11point(precision, recall) if objects else None,
        ap_area(precision, recall) if objects else None,
        objects,
        int(ignored_objects.sum()),
        len(found),
        int(right.sum()),
        int((~right).sum()),
    )


@dataclass(frozen=True)
class Curve:
    """The curve of one class: precision, recall and score (D,) after each counted detection."""

    name: str
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    score: NDArray[np.float64]

    def thinned(self, most: int) -> tuple[list[float], list[float]]:
        """Recall and precision of at most `most` points, evenly spaced by recall, each with the
        best precision of its interval.
        """
        if len(self.recall) == 0:
            return [], []
        bounds = np.linspace(0, self.recall[-1], most)
        points = np.unique(np.searchsorted(self.recall, bounds).clip(max=len(self.recall) - 1))
        return self.recall[points].tolist(), self.precision[points].tolist()


def precision_recall_curves(
    classes: tuple[str, ...],
    truth: TruthTable,
    detections: DetectionTable,
    iou_threshold: float = 0.5,
) -> tuple[Curve, ...]:
    """The curves of the classes that have an object; `evaluate_voc` returns their areas."""
    matches = match_detections(truth, detections, iou_threshold)
    curves = []
    for name, rows, found in _rows_by_class(classes, truth, detections):
        objects = int((~truth.ignored[rows]).sum())
        if objects:
            counted = found[~matches.ignored[found]]
            precision, recall = precision_recall(matches.right[counted], objects)
            curves.append(Curve(name, precision, recall, detections.score[counted]))
    return tuple(curves)
