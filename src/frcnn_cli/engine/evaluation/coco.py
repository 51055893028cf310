"""The COCO family of averages, computed by faster-coco-eval.

AP over IoU 0.50:0.05:0.95, 101 recall points, at most 100 detections a class and image.
Difficult objects and crowds are handed over as crowds, the one kind that COCO leaves out.
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

_AT_50, _AT_75 = 0, 5  # places among the ten IoU thresholds
_ALL_SIZES, _MOST_DETECTIONS = 0, -1


@dataclass(frozen=True)
class CocoClassResult:
    """One class; None where it has no object that counts."""

    name: str
    ap: float | None
    ap50: float | None
    ap75: float | None


@dataclass(frozen=True)
class CocoResult:
    """Means over the classes that have an object; None where there is none (of the size).

    ap is over IoU 0.50:0.95; small is under 32 x 32 pixels, large over 96 x 96; ar_N is the
    recall with N detections per image, over the same thresholds. In pycocotools' order.
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
        """As JSON values, per_class by name."""
        return {**asdict(self), "per_class": by_name(self.per_class)}


def evaluate_coco(dataset: Dataset, detections: Mapping[str, Detections]) -> CocoResult:
    """Score detections, by image id, as COCO does. Raises as evaluate_voc does."""
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
    # (IoU thresholds, recall points, classes), -1 where there is nothing to find.
    precision = evaluator.eval["precision"][:, :, :, _ALL_SIZES, _MOST_DETECTIONS]
    per_class = tuple(
        CocoClassResult(
            name,
            _mean(precision[:, :, place]),
            _mean(precision[_AT_50, :, place]),
            _mean(precision[_AT_75, :, place]),
        )
        for place, name in enumerate(dataset.classes)
    )
    return CocoResult(**stats, per_class=per_class)


def _index(
    dataset: Dataset,
    table: TruthTable | DetectionTable,
    areas: NDArray[np.float64],
    crowd: NDArray[np.bool_],
) -> COCO:
    """The library's dataset: images numbered from 0 in order, categories by label."""
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
    """x, y, width, height (N, 4) of inclusive boxes; a box turned inside out has none."""
    return np.hstack((boxes[:, :2], np.maximum(boxes[:, 2:] - boxes[:, :2] + 1, 0)))


def _mean(precision: NDArray[np.float64]) -> float | None:
    counted = precision[precision > -1]
    return float(counted.mean()) if counted.size else None
