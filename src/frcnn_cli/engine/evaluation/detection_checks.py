"""Warnings about suspicious files of detections, such as normalised boxes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from frcnn_cli.engine.datasets.findings import Finding
from frcnn_cli.engine.evaluation.errors import ErrorAnalysis
from frcnn_cli.engine.evaluation.readers.rows import DetectionRows
from frcnn_cli.engine.records import Dataset
from frcnn_proposals.wording import counted, some_of

# A box may end this many pixels outside its image: tools differ by one in their corners.
_OUTSIDE = 2.0
# Tools that do not clip have a few boxes outside; a file in another format has many.
_OUTSIDE_SHARE = 0.05
# Equal boxes with equal scores are rare by chance.
_DUPLICATE_SHARE = 0.01
_SMALLEST = 2.0
# Odd constants of 64 bits, to combine the columns of a row into one number.
_ODD = 0x9E3779B97F4A7C15


def detection_findings(path: Path, rows: DetectionRows, dataset: Dataset) -> list[Finding]:
    """Warnings about the boxes and scores of a file, each with its first entry."""
    if len(rows.scores) == 0:
        return []
    boxes = rows.boxes
    total = len(boxes)
    sides = boxes[:, 2:] - boxes[:, :2] + 1
    found = []
    if (sides < _SMALLEST).all():
        share = some_of(total, total, "box", "is", "are", "boxes")
        message = f"{share} smaller than 2 x 2 pixels; are they normalised to 0..1?"
        found.append(_warning(path, rows, "small-boxes", message, np.ones(total, bool)))
    outside = _outside(rows, dataset)
    if outside.sum() > _OUTSIDE_SHARE * total:
        share = some_of(outside.sum(), total, "box", "ends", "end", "boxes")
        message = (
            f"{share} outside their image; are they in another order (x1, y1, x2, y2), or of "
            "images of another size?"
        )
        found.append(_warning(path, rows, "outside", message, outside))
    duplicate = _duplicates(rows)
    if duplicate.sum() > _DUPLICATE_SHARE * total:
        share = some_of(duplicate.sum(), total, "detection", "repeats", "repeat")
        message = f"{share} another one exactly"
        found.append(_warning(path, rows, "duplicates", message, duplicate))
    over = rows.scores > 1
    if over.any() and rows.scores.min() >= 0:  # margins of SVMs are negative, too
        share = some_of(over.sum(), total, "score", "is", "are")
        message = f"{share} over 1; are they in percent?"
        found.append(_warning(path, rows, "scores", message, over))
    return found


def class_findings(path: Path, errors: ErrorAnalysis) -> list[Finding]:
    """A warning if most detections on objects have another class than the object."""
    right = sum(item.right for item in errors.per_class)
    confused = sum(item.confusion for item in errors.per_class)
    if confused <= 2 * right or confused < 10:
        return []
    message = (
        f"{path}: {counted(confused, 'detection has', 'detections have')} another class than their "
        f"object, {right} the same; are its category numbers those of the dataset, counted from 1"
    )
    return [Finding("warning", "classes", message, ("see the errors by class",), confused)]


def _outside(rows: DetectionRows, dataset: Dataset) -> NDArray[np.bool_]:
    """Which boxes end outside their image; False for images of unknown size."""
    size_of = {
        record.image_id: (record.width, record.height)
        for record in dataset.images
        if record.width and record.height
    }
    unlimited = (np.inf, np.inf)
    sizes = np.array([size_of.get(name, unlimited) for name in rows.image_ids], np.float64)
    limits = sizes[rows.image] - 1 + _OUTSIDE
    boxes = rows.boxes
    known = np.isfinite(limits).all(axis=1)
    beyond = (boxes[:, 2:] > limits).any(axis=1) | (boxes[:, :2] < -_OUTSIDE).any(axis=1)
    return np.logical_and(known, beyond)


def _duplicates(rows: DetectionRows) -> NDArray[np.bool_]:
    """Which rows repeat an earlier one: image, class, score and box."""
    columns = (rows.image, rows.labels, rows.scores, *rows.boxes.T)
    key = np.zeros(len(rows.scores), np.uint64)
    for column in columns:
        bits = np.ascontiguousarray(column, np.float64).view(np.uint64)
        key = (key ^ bits) * np.uint64(_ODD)
        key ^= key >> np.uint64(29)
    first = np.unique(key, return_index=True)[1]
    repeated = np.ones(len(key), bool)
    repeated[first] = False
    return repeated


def _warning(
    path: Path, rows: DetectionRows, code: str, message: str, where: NDArray[np.bool_]
) -> Finding:
    first = rows.where(int(np.argmax(where)))
    return Finding("warning", code, f"{path}: {message} First", (first,), int(where.sum()))
