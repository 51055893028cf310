"""The objects of a COCO dataset, from the annotations of its json."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from frcnn_cli.engine.datasets.layout import (
    BORDER_TOLERANCE,
    Box,
    Fault,
    Report,
    inclusive_box,
    read_flag,
)
from frcnn_cli.engine.datasets.readers.coco_json import Id, identifier
from frcnn_cli.engine.datasets.readers.coco_records import CocoImage, SizedTruth
from frcnn_proposals.formats.containers.masks import mask_extent

Annotations = dict[Id, list[Mapping[str, Any]]]


def object_truths(
    path: Path,
    images: Sequence[CocoImage],
    annotations: Annotations,
    label_of: Mapping[Any, int],
    report: Report,
) -> Iterator[SizedTruth]:
    """Yield the objects of each image, and remove its annotations.

    Usual annotations of all images are converted together, several times as fast as one by one.
    Faults of an image are reported when its objects are requested.
    """
    columns = _Columns.read(images, annotations, label_of)
    end = 0
    for index, image in enumerate(images):
        entries = annotations.pop(image.number, [])
        start, end = end, end + len(entries)
        if columns is None or index in columns.unusual:
            yield _object_truth(path, image, entries, label_of, report)
        else:
            yield columns.rows(start, end)


@dataclass(frozen=True)
class _Columns:
    """The annotations of all images, converted together.

    objects: of all images, in the order of the images. unusual: indices of the images that must be
    read entry by entry, because of an unusual annotation; their objects here are meaningless.
    """

    objects: SizedTruth
    unusual: frozenset[int]

    def rows(self, start: int, end: int) -> SizedTruth:
        every, part = self.objects, slice(start, end)
        return SizedTruth(
            every.boxes[part],
            every.labels[part],
            every.difficult[part],
            every.crowd[part],
            every.area[part],
        )

    @classmethod
    def read(
        cls, images: Sequence[CocoImage], annotations: Annotations, label_of: Mapping[Any, int]
    ) -> _Columns | None:
        """Convert all annotations. Returns None if one has values of unusual types."""
        groups = [annotations.get(image.number, []) for image in images]
        entries = [entry for group in groups for entry in group]
        try:
            extents = np.array([entry["bbox"] for entry in entries])
            numbers = [entry["category_id"] for entry in entries]
            area = np.array([entry["area"] for entry in entries])
            difficult = [entry.get("difficult", 0) for entry in entries]
            crowd = [entry.get("iscrowd", 0) for entry in entries]
            are_flags = {*difficult, *crowd} <= {0, 1}
        except (KeyError, TypeError, ValueError):
            return None
        are_numbers = extents.dtype.kind in "if" and area.dtype.kind in "if"
        shapes = (extents.shape, area.shape)
        if shapes != ((len(entries), 4), (len(entries),)) or not are_numbers:
            return None
        if not are_flags or set(map(type, numbers)) != {int}:
            return None
        image_of = np.repeat(np.arange(len(groups)), [len(group) for group in groups])
        labels = np.array([label_of.get(number, 0) for number in numbers], np.int64)
        right, bottom = (
            np.array([math.inf if length is None else length - 1 for length in lengths])[image_of]
            for lengths in zip(*((image.width, image.height) for image in images), strict=True)
        )
        with np.errstate(over="ignore", invalid="ignore"):
            x1, y1, width, height = extents.astype(np.float64).T
            x2, y2 = x1 + width - 1, y1 + height - 1
            outside = np.max([-x1, -y1, x2 - right, y2 - bottom], axis=0)
            boxes = np.stack([x1, y1, x2, y2], axis=1).astype(np.float32)
        is_usual = (labels > 0) & (width > 0) & (height > 0) & (outside <= BORDER_TOLERANCE)
        is_usual &= (x1 <= right) & (y1 <= bottom) & (x2 >= 0) & (y2 >= 0)
        is_usual &= np.isfinite(extents).all(axis=1) & np.isfinite(area)
        is_difficult = np.array(difficult, bool)
        is_crowd = np.array(crowd, bool) & ~is_difficult
        objects = SizedTruth(boxes, labels, is_difficult, is_crowd, area.astype(np.float64))
        return cls(objects, frozenset(image_of[~is_usual].tolist()))


def _object_truth(
    path: Path,
    image: CocoImage,
    entries: list[Mapping[str, Any]],
    label_of: Mapping[Any, int],
    report: Report,
) -> SizedTruth:
    """Read the objects of one image, entry by entry, and report the faults."""
    boxes, labels, difficult, crowd, area = [], [], [], [], []
    for entry in entries:
        where = f"{image.file_name}, annotation {entry.get('id')}"
        category = identifier(entry.get("category_id"))
        if category not in label_of:
            report(Fault(path, f"{where}: unknown category_id {entry.get('category_id')!r:.40}"))
            continue
        try:
            extent = _extent(entry)
        except ValueError as error:
            report(Fault(path, f"{where}: {error}"))
            continue
        size = (image.width, image.height)
        box = inclusive_box(path, where, extent, size, report)
        if box is not None:
            boxes.append(box)
            labels.append(label_of[category])
            is_difficult = read_flag(path, f"{where}: difficult", entry.get("difficult"), report)
            is_crowd = read_flag(path, f"{where}: iscrowd", entry.get("iscrowd"), report)
            difficult.append(is_difficult)
            crowd.append(is_crowd and not is_difficult)
            area.append(_number_or(entry.get("area"), extent[2] * extent[3]))
    return SizedTruth(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(labels, np.int64),
        np.array(difficult, bool),
        np.array(crowd, bool),
        np.array(area, np.float64),
    )


def _extent(entry: Mapping[str, Any]) -> Box:
    """Return x, y, width and height. Raises ValueError if the entry has no valid box.

    Some tools write a segmentation only, and an empty list or null as bbox.
    """
    bbox, shape = entry.get("bbox"), entry.get("segmentation")
    if not bbox:
        if not shape:
            raise ValueError("bbox must be 4 numbers, or a segmentation given")
        is_one_polygon = isinstance(shape, list) and not isinstance(shape[0], list)
        bbox = mask_extent([shape] if is_one_polygon else shape)
        if bbox is None:
            raise ValueError("its segmentation has no pixels")
    try:
        x, y, width, height = (float(value) for value in bbox)
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError("bbox must be 4 numbers") from error
    if not all(map(math.isfinite, (x, y, width, height))):
        raise ValueError("bbox must be 4 numbers, none of them infinite")
    return x, y, width, height


def _number_or(value: Any, default: float) -> float:
    number = isinstance(value, (int, float)) and math.isfinite(value)
    return float(value) if number else default
