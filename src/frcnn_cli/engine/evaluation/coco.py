"""The COCO metrics, computed by faster-coco-eval.

AP over IoU 0.50:0.05:0.95, 101 recall points, at most 100 detections per class and image.
Difficult objects are passed on as crowds, the only kind of object that COCO ignores.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster
from numpy.typing import NDArray

from frcnn_cli.engine.datasets.readers.coco_records import SizedTruth
from frcnn_cli.engine.evaluation.tables import (
    DetectionTable,
    TruthTable,
    by_class,
    by_name,
    detection_table,
    truth_table,
)
from frcnn_cli.engine.records import Dataset, Detections, GroundTruth

# The sizes and indices of the library's tables: 10 IoU thresholds, 101 recall points, 4 object
# sizes (all, small, medium, large), and at most 1, 10 and 100 detections per class and image.
_THRESHOLDS, _RECALLS, _SIZES, _LIMITS = 10, 101, 4, 3
_AT_50, _AT_75 = slice(0, 1), slice(5, 6)
_ALL, _SMALL, _MEDIUM, _LARGE = range(_SIZES)
_AT_MOST_1, _AT_MOST_10, _AT_MOST_100 = range(_LIMITS)


@dataclass(frozen=True)
class CocoClassResult:
    """The results of one class; None without any counted object."""

    name: str
    ap: float | None
    ap50: float | None
    ap75: float | None


@dataclass(frozen=True)
class CocoResult:
    """Means over the classes that have an object (of this size); None if no class has one.

    ap is over IoU 0.50:0.95; small is below 32 x 32 pixels, large above 96 x 96; ar_N is the
    recall with N detections per image, over the same thresholds. The order is that of
    pycocotools.
    """

    ap: float | None
    ap50: float | None
    ap75: float | None
    ap_small: float | None
    ap_medium: float | None
    ap_large: float | None
    ar_1: float | None
    ar_10: float | None
    ar_100: float | None
    ar_small: float | None
    ar_medium: float | None
    ar_large: float | None
    per_class: tuple[CocoClassResult, ...]

    def to_json(self) -> dict[str, Any]:
        """JSON values, with per_class by name."""
        return {**asdict(self), "per_class": by_name(self.per_class)}


def evaluate_coco(dataset: Dataset, detections: Mapping[str, Detections]) -> CocoResult:
    """Evaluate detections, by image id, with the COCO metrics. Errors as in evaluate_voc."""
    return evaluate_coco_tables(dataset, truth_table(dataset), detection_table(dataset, detections))


def evaluate_coco_tables(dataset: Dataset, truth: TruthTable, found: DetectionTable) -> CocoResult:
    """evaluate_coco on existing tables.

    The library takes one class at a time, and only the images with an object or a detection of it:
    its memory grows with every pair of a class and an image that it is given, even empty ones.
    """
    sizes = [_object_areas(image.truth) for image in dataset.images if image.truth is not None]
    areas = np.concatenate([np.zeros(0), *sizes])
    classes = len(dataset.classes)
    # -1 for classes without a counted object (of this size), as in the library.
    precision = np.full((_THRESHOLDS, _RECALLS, classes, _SIZES), -1.0)
    recall = np.full((_THRESHOLDS, classes, _SIZES, _LIMITS), -1.0)
    of_classes = zip(by_class(truth.label, classes), by_class(found.label, classes), strict=True)
    for index, (objects, rows) in enumerate(of_classes):
        if not truth.ignored[objects].all():
            precision[:, :, index], recall[:, index] = _evaluate_class(
                truth.take(objects), areas[objects], found.take(rows)
            )
    at_most_100 = recall[..., _AT_MOST_100]
    return CocoResult(
        ap=_mean(precision[..., _ALL]),
        ap50=_mean(precision[_AT_50, ..., _ALL]),
        ap75=_mean(precision[_AT_75, ..., _ALL]),
        ap_small=_mean(precision[..., _SMALL]),
        ap_medium=_mean(precision[..., _MEDIUM]),
        ap_large=_mean(precision[..., _LARGE]),
        ar_1=_mean(recall[..., _ALL, _AT_MOST_1]),
        ar_10=_mean(recall[..., _ALL, _AT_MOST_10]),
        ar_100=_mean(at_most_100[..., _ALL]),
        ar_small=_mean(at_most_100[..., _SMALL]),
        ar_medium=_mean(at_most_100[..., _MEDIUM]),
        ar_large=_mean(at_most_100[..., _LARGE]),
        per_class=tuple(
            CocoClassResult(
                name,
                _mean(precision[:, :, index, _ALL]),
                _mean(precision[_AT_50, :, index, _ALL]),
                _mean(precision[_AT_75, :, index, _ALL]),
            )
            for index, name in enumerate(dataset.classes)
        ),
    )


def _evaluate_class(
    truth: TruthTable, areas: NDArray[np.float64], found: DetectionTable
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Precision (10, 101, 4) with at most 100 detections per image, and recall (10, 4, 3)."""
    images = np.union1d(truth.image, found.image).tolist()
    found_areas = _with_extent(found.boxes)[:, 2:].prod(axis=1)
    evaluator = COCOeval_faster(
        _index(images, truth, area=areas, iscrowd=truth.ignored.astype(int)),
        _index(images, found, area=found_areas, score=found.score),
        "bbox",
        print_function=lambda *_: None,
    )
    evaluator.evaluate()
    evaluator.accumulate()
    precision, recall = evaluator.eval["precision"], evaluator.eval["recall"]
    return precision[:, :, 0, :, _AT_MOST_100], recall[:, 0]


def _index(images: list[int], table: TruthTable | DetectionTable, **columns: NDArray) -> COCO:
    """Objects or detections of one class in the library's format. columns: further keys."""
    rows = zip(
        range(1, len(table) + 1),
        table.image.tolist(),
        _with_extent(table.boxes).tolist(),
        *(column.tolist() for column in columns.values()),
        strict=True,
    )
    keys = ("id", "image_id", "bbox", *columns)
    index = COCO()
    index.dataset = {
        "images": [{"id": number} for number in images],
        "categories": [{"id": 1}],
        "annotations": [{"category_id": 1, **dict(zip(keys, row, strict=True))} for row in rows],
    }
    index.createIndex()
    return index


def _object_areas(truth: GroundTruth) -> NDArray[np.float64]:
    if isinstance(truth, SizedTruth):
        return truth.area
    areas: NDArray[np.float64] = _with_extent(truth.boxes.astype(np.float64))[:, 2:].prod(axis=1)
    return areas


def _with_extent(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """x, y, width, height (N, 4) of inclusive boxes; inverted boxes have size 0."""
    return np.hstack((boxes[:, :2], np.maximum(boxes[:, 2:] - boxes[:, :2] + 1, 0)))


def _mean(precision: NDArray[np.float64]) -> float | None:
    counted = precision[precision > -1]
    return float(counted.mean()) if counted.size else None
