"""Plain text files of datasets: image ids, class names, and the labels of one image (YOLO)."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from frcnn_cli.engine.datasets.layout import Box, Fault, Report, inclusive_box
from frcnn_cli.engine.records import GroundTruth
from frcnn_proposals.errors import InputError, reason
from frcnn_proposals.reading import read_text

CLASSES_FILE = "classes.txt"
# Lists of one class have a second column; an id can contain spaces.
_SECOND_COLUMN = re.compile(r"\s+[+-]?[01]$")


def read_classes(path: Path) -> tuple[str, ...]:
    """Read class names, one per line, in order of label."""
    classes = tuple(read_lines(path))
    if not classes or len(set(classes)) != len(classes):
        raise InputError(f"{path}: expected one class name per line, without duplicates")
    return classes


def read_lines(path: Path) -> list[str]:
    """Read the lines of a text file, stripped and without blank lines."""
    try:
        text = read_text(path)
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a readable text file ({reason(error)})") from error
    return [line.strip() for line in text.splitlines() if line.strip()]


def read_image_ids(path: Path) -> list[str]:
    """Read the image ids of a list in VOC's ImageSets/Main, in order.

    A line is an id, or an id and a second column of -1, 0 or 1.
    """
    return [_SECOND_COLUMN.sub("", line) for line in read_lines(path)]


def image_list(image_ids: Iterable[str]) -> str:
    """Return the content of a list that `read_image_ids` reads as these ids."""
    lines = (f"{name} 1" if _SECOND_COLUMN.search(name) else name for name in image_ids)
    return "".join(f"{line}\n" for line in lines)


def read_labels(path: Path, classes: int, size: tuple[int, int], report: Report) -> GroundTruth:
    """Read the objects in a YOLO label file. size: width and height of the image in pixels.

    A line is `class x y width height`: the class, counted from 0, then centre and size as
    fractions of the image size. A line of more than five numbers is a polygon (class x1 y1 x2 y2
    ...); its bounding box is used.
    """
    boxes, labels = [], []
    try:
        lines = read_lines(path)
    except InputError as error:
        report(Fault(path, str(error).removeprefix(f"{path}: ")))
        return GroundTruth()
    for number, line in enumerate(lines, start=1):
        where = f"line {number}"
        try:
            label, extent = _object(line.split(), classes, size)
        except ValueError as error:
            report(Fault(path, f"{where}: {reason(error)}"))
            continue
        box = inclusive_box(path, where, extent, size, report)
        if box is not None:
            boxes.append(box)
            labels.append(label)
    count = len(boxes)
    return GroundTruth(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(labels, np.int64),
        np.zeros(count, bool),
    )


def _object(fields: list[str], classes: int, size: tuple[int, int]) -> tuple[int, Box]:
    """Return the label, 1..K, and x, y, width, height in pixels. Raises ValueError if invalid."""
    try:
        values = [float(field) for field in fields]
    except ValueError:
        values = []
    polygon = len(values) >= 7 and len(values) % 2 == 1
    if not (len(values) == 5 or polygon) or not all(map(math.isfinite, values)):
        raise ValueError("expected `class x y width height`")
    if values[0] not in range(classes):
        raise ValueError(f"class {fields[0]} is not one of 0..{classes - 1}")
    if polygon:
        xs, ys = values[1::2], values[2::2]
        left, top = min(xs), min(ys)
        width, height = max(xs) - left, max(ys) - top
    else:
        x, y, width, height = values[1:]
        left, top = x - width / 2, y - height / 2
    columns, rows = size
    return int(values[0]) + 1, (left * columns, top * rows, width * columns, height * rows)
