"""Records for exporters: an image and its annotated or detected objects."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from frcnn_cli.engine.datasets.readers.coco_records import SizedTruth
from frcnn_cli.engine.records import Dataset, Detections, GroundTruth, ImageRecord
from frcnn_proposals.errors import MisuseError
from frcnn_proposals.images import image_size

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class ExportObject:
    """One object. box: 0-based, inclusive. area: in pixels. score: None for ground truth."""

    name: str
    label: int
    box: Box
    area: float
    score: float | None = None
    difficult: bool = False
    crowd: bool = False


@dataclass(frozen=True)
class ExportImage:
    """An image, its size in pixels and its objects."""

    record: ImageRecord
    width: int
    height: int
    objects: tuple[ExportObject, ...]


def export_images(
    dataset: Dataset, detections: Mapping[str, Detections] | None
) -> Iterator[ExportImage]:
    """The images of the dataset with their ground truth, or with `detections` if given."""
    return (_image(dataset, record, detections) for record in dataset.images)


def copy_image(image: ExportImage, folder: Path) -> None:
    """Copy the image file into a folder, named by the image id."""
    target = folder / f"{image.record.image_id}{image.record.path.suffix}"
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(image.record.path, target)


def _image(
    dataset: Dataset, record: ImageRecord, detections: Mapping[str, Detections] | None
) -> ExportImage:
    if record.width is None or record.height is None:
        width, height = image_size(record.path)
    else:
        width, height = record.width, record.height
    if detections is not None:
        objects = _detected_objects(dataset, detections.get(record.image_id, Detections()))
    elif record.truth is not None:
        objects = _annotated_objects(dataset, record.truth)
    else:
        raise MisuseError(f"{dataset.name} {dataset.split} has no annotations to export.")
    return ExportImage(record, width, height, objects)


def _annotated_objects(dataset: Dataset, truth: GroundTruth) -> tuple[ExportObject, ...]:
    area = truth.area if isinstance(truth, SizedTruth) else [_area(box) for box in truth.boxes]
    rows = zip(
        truth.boxes, truth.labels, area, truth.difficult, np.asarray(truth.crowd), strict=True
    )
    return tuple(
        ExportObject(
            dataset.classes[label - 1],
            int(label),
            _corners(box),
            float(size),
            difficult=bool(difficult),
            crowd=bool(crowd),
        )
        for box, label, size, difficult, crowd in rows
    )


def _detected_objects(dataset: Dataset, detections: Detections) -> tuple[ExportObject, ...]:
    rows = zip(detections.boxes, detections.labels, detections.scores, strict=True)
    return tuple(
        ExportObject(
            dataset.classes[label - 1], int(label), _corners(box), _area(box), float(score)
        )
        for box, label, score in rows
    )


def _corners(box: np.ndarray) -> Box:
    x1, y1, x2, y2 = (float(value) for value in box)
    return x1, y1, x2, y2


def _area(box: np.ndarray) -> float:
    x1, y1, x2, y2 = _corners(box)
    return (x2 - x1 + 1) * (y2 - y1 + 1)
