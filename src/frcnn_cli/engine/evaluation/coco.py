"""The COCO metrics, computed by faster-coco-eval.

AP over IoU 0.50:0.05:0.95, 101 recall points, at most 100 detections per class and image.
Difficult objects are passed on as crowds, the only kind of object that COCO ignores.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

import numpy as np
from faster_coco_eval import COCO, COCOeval_faster
from numpy.typing import NDArray

from frcnn_cli.engine.datasets.readers.coco_records import SizedTruth
from frcnn_cli.engine.evaluation.tables import (
    DetectionTable,
    TruthTable,
    by_name,
    detection_table,
    truth_table,
)
from frcnn_cli.engine.records import Dataset, Detections, GroundTruth

_AT_50, _AT_75 = 0, 5  # indices of the ten IoU thresholds
_ALL_SIZES, _MOST_DETECTIONS = 0, -1


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
    truth, found = truth_table(dataset), detection_table(dataset, detections)
    sizes = [_object_areas(image.truth) for image in dataset.images if image.truth is not None]
    truth_index = _index(dataset, truth, np.concatenate([np.zeros(0), *sizes]), truth.ignored)
    areas = _with_extent(found.boxes)[:, 2:].prod(axis=1)
    found_index = _index(dataset, found, areas, np.zeros(len(found), bool))
    for annotation, score in zip(found_index.anns.values(), found.score.tolist(), strict=True):
        annotation["score"] = score
    evaluator = COCOeval_faster(truth_index, found_index, "bbox", print_function=lambda *_: None)
    evaluator.evaluate()
    evaluator.accumulate()
    evaluator.summarize()
    stats = {
        field.name: float(value) if value > -1 else None
        for field, value in zip(fields(CocoResult)[:-1], evaluator.stats, strict=False)
    }
    # (IoU thresholds, recall points, classes), -1 for classes without objects.
    precision = evaluator.eval["precision"][:, :, :, _ALL_SIZES, _MOST_DETECTIONS]
    per_class = tuple(
        CocoClassResult(
            name,
            _mean(precision[:, :, index]),
            _mean(precision[_AT_50, :, index]),
            _mean(precision[_AT_75, :, index]),
        )
        for index, name in enumerate(dataset.classes)
    )
    return CocoResult(**stats, per_class=per_class)


def _index(
    dataset: Dataset,
    table: TruthTable | DetectionTable,
    areas: NDArray[np.float64],
    crowd: NDArray[np.bool_],
) -> COCO:
    """The dataset in the library's format: images numbered from 0, categories by label."""
    rows = zip(
        table.image.tolist(),
        table.label.tolist(),
        _with_extent(table.boxes).tolist(),
        areas.tolist(),
        crowd.tolist(),
        strict=True,
    )
    index = COCO()
    index.dataset = {
        "images": [{"id": number} for number in range(len(dataset))],
        "categories": [{"id": label} for label in range(1, len(dataset.classes) + 1)],
        "annotations": [
            {
                "id": number,
                "image_id": image,
                "category_id": label,
                "bbox": box,
                "area": area,
                "iscrowd": int(is_crowd),
            }
            for number, (image, label, box, area, is_crowd) in enumerate(rows, start=1)
        ],
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
