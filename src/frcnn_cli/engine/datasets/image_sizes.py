"""What headers of image files show: sizes other than annotated, and 16-bit grey values."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from frcnn_cli.engine.datasets.findings import Finding, Level, finding, level_of_share
from frcnn_cli.engine.records import Dataset, ImageRecord
from frcnn_cli.engine.reporter import Reporter
from frcnn_proposals.errors import InputError
from frcnn_proposals.images import NARROW_RANGE, image_size, is_sixteen_bit_grey
from frcnn_proposals.wording import counted, some_of

# The headers that are read before work begins, evenly spread over the dataset.
HEADERS = 200
_NEVER_SIXTEEN_BIT = frozenset({".jpg", ".jpeg", ".jpe", ".bmp", ".gif", ".webp", ".ppm"})
Item = TypeVar("Item")


def size_problem(record: ImageRecord, size: tuple[int, int]) -> str | None:
    """How the image, whose file has this width and height, differs from its annotation."""
    width, height = size
    annotated = (record.width or width, record.height or height)
    if annotated != size:
        return (
            f"is {width} x {height} pixels after EXIF rotation, annotated as "
            f"{annotated[0]} x {annotated[1]}"
        )
    if record.truth is None or not len(record.truth):
        return None
    x1, y1, x2, y2 = record.truth.boxes.T
    outside = int(((x1 > width - 1) | (y1 > height - 1) | (x2 < 0) | (y2 < 0)).sum())
    if outside:
        return (
            f"is {width} x {height} pixels after EXIF rotation, with "
            f"{counted(outside, 'box', 'boxes')} outside of it"
        )
    return None


def read_sizes(dataset: Dataset, most: int = HEADERS) -> dict[str, tuple[int, int]]:
    """Width and height by image id, from the headers of up to `most` images, evenly spread.

    Images that cannot be read are omitted: they are reported where they are decoded.
    """
    sizes = {}
    for record in spread(dataset.images, most):
        try:
            sizes[record.image_id] = image_size(record.path)
        except InputError:
            continue
    return sizes


def note_sixteen_bit(paths: Iterable[str | Path], reporter: Reporter) -> None:
    """Report how 16-bit grey images are read, if there are any among up to HEADERS of `paths`."""
    candidates = [
        path for path in paths if os.path.splitext(path)[1].lower() not in _NEVER_SIXTEEN_BIT
    ]
    first = next(filter(is_sixteen_bit_grey, spread(candidates, HEADERS)), None)
    if first is not None:
        reporter.note(
            f"{first}: has 16-bit grey values. They are read as 8 bits: values of an image that "
            f"span less than {NARROW_RANGE:,} are stretched to 0..255, others are divided by 256."
        )


def spread(items: Sequence[Item], most: int) -> list[Item]:
    """Up to `most` of the items, evenly spread, the first and the last among them."""
    if len(items) <= most:
        return list(items)
    return [items[index * (len(items) - 1) // (most - 1)] for index in range(most)]


def size_findings(
    dataset: Dataset, sizes: Mapping[str, tuple[int, int]], level: Level | None = None
) -> list[Finding]:
    """At most one finding: the images that differ from their annotation.

    sizes: width and height by image id, of the images that were read. level: by default
    unusable if most of these images differ, else a warning.
    """
    checked = [record for record in dataset.images if record.image_id in sizes]
    problems = {
        record.image_id: problem
        for record in checked
        if (problem := size_problem(record, sizes[record.image_id])) is not None
    }
    if not problems:
        return []
    message = (
        f"{dataset.name} {dataset.split}: "
        f"{some_of(len(problems), len(checked), 'image read', 'does', 'do', 'images read')} not "
        "match their annotations"
    )
    names = [f"{image_id} {problem}" for image_id, problem in problems.items()]
    level = level or level_of_share(len(problems), len(checked))
    return [finding(level, "image-size", message, names)]
