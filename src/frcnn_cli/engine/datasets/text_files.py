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
from frcnn_proposals.reading import text_lines
from frcnn_proposals.wording import counted

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
        return [line for line in map(str.strip, text_lines(path)) if line]
    except FileNotFoundError as error:
        raise InputError(f"{path}: this file does not exist.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: not a readable text file ({reason(error)})") from error


def without_column(line: str) -> str:
    """A line of a list in VOC's ImageSets/Main without its second column of -1, 0 or 1."""
    return _SECOND_COLUMN.sub("", line)


def image_list(image_ids: Iterable[str]) -> str:
    """Return the content of a list that is read as these ids, with or without their files."""
    lines = (f"{name} 1" if _SECOND_COLUMN.search(name) else name for name in image_ids)
    return "".join(f"{line}\n" for line in lines)


def read_labels(
    path: Path,
    classes: int,
    size: tuple[int, int],
    report: Report,
    keypoints: int | None = None,
) -> GroundTruth:
    """Read the objects in a YOLO label file. size: width and height of the image in pixels.

    A line is `class x y width height`: the class, counted from 0, then centre and size as
    fractions of the image size. If `keypoints` is given, so many numbers of keypoints can follow,
    which are ignored. Without it, a longer line is a polygon (class x1 y1 x2 y2 ...), whose
    bounding box is used, unless its numbers can only be a box and keypoints. A score at the end
    of a line is ignored and reported.
    """
    boxes, labels, scores = [], [], 0
    try:
        lines = read_lines(path)
    except InputError as error:
        report(Fault(path, str(error).removeprefix(f"{path}: ")))
        return GroundTruth()
    for number, line in enumerate(lines, start=1):
        where = f"line {number}"
        try:
            label, extent, has_score = _object(line.split(), classes, size, keypoints)
        except ValueError as error:
            report(Fault(path, f"{where}: {reason(error)}"))
            continue
        scores += has_score
        box = inclusive_box(path, where, extent, size, report)
        if box is not None:
            boxes.append(box)
            labels.append(label)
    if scores:
        message = f"the score at the end of {counted(scores, 'line')} is ignored"
        report(Fault(path, message, tolerated=True))
    count = len(boxes)
    return GroundTruth(
        np.array(boxes, np.float32).reshape(-1, 4),
        np.array(labels, np.int64),
        np.zeros(count, bool),
    )


def _object(
    fields: list[str], classes: int, size: tuple[int, int], keypoints: int | None
) -> tuple[int, Box, bool]:
    """Return the label, 1..K, then x, y, width, height in pixels, and whether a score follows.

    Raises ValueError if the line is invalid.
    """
    try:
        values = [float(field) for field in fields]
    except ValueError:
        values = []
    form = _form(values[1:], keypoints)
    if form is None or not all(map(math.isfinite, values)):
        raise ValueError("expected `class x y width height`")
    if values[0] not in range(classes):
        raise ValueError(f"class {fields[0]} is not one of 0..{classes - 1}")
    is_polygon, has_score = form
    if has_score and not 0 <= values.pop() <= 1:
        raise ValueError(f"{fields[-1]}, the last number, is not a score from 0 to 1")
    if is_polygon:
        xs, ys = values[1::2], values[2::2]
        left, top = min(xs), min(ys)
        width, height = max(xs) - left, max(ys) - top
    else:
        x, y, width, height = values[1:5]
        left, top = x - width / 2, y - height / 2
    columns, rows = size
    extent = (left * columns, top * rows, width * columns, height * rows)
    return int(values[0]) + 1, extent, has_score


def _form(numbers: list[float], keypoints: int | None) -> tuple[bool, bool] | None:
    """Whether the numbers after a class are a polygon, and whether a score follows, or None."""
    more = len(numbers) - 4
    if more in (0, 1):
        return False, more == 1
    if keypoints is not None:
        return (False, more > keypoints) if more - keypoints in (0, 1) else None
    if more < 2:
        return None
    has_score = more % 2 == 1
    # A polygon's numbers are fractions: three numbers per keypoint end with its visibility.
    visibility = numbers[6::3]
    if more % 3 == 0 and {0, 1, 2}.issuperset(visibility) and (has_score or 2 in visibility):
        return False, False
    return True, has_score
