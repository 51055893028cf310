"""The box of a COCO segmentation: polygons, or run lengths of a mask."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from frcnn_cli.engine.datasets.layout import Box

_MOST_PIXELS = 1 << 40


def extent_of(segmentation: Any) -> Box | None:
    """Return x, y, width and height of a segmentation; None if it is not one, or is empty.

    A list of polygons [x1, y1, x2, y2, ...], one such polygon, or a mask: {'size': [height, width],
    'counts': run lengths, column by column, as a list or as the text that pycocotools writes}.
    """
    if isinstance(segmentation, dict):
        return _mask_extent(segmentation.get("size"), segmentation.get("counts"))
    if not isinstance(segmentation, list) or not segmentation:
        return None
    polygons = segmentation if isinstance(segmentation[0], list) else [segmentation]
    try:
        points = [np.array(polygon, np.float64).reshape(-1, 2) for polygon in polygons]
    except (TypeError, ValueError, OverflowError):
        return None
    xy = np.concatenate(points)
    if not len(xy) or not np.isfinite(xy).all():
        return None
    (left, top), (right, bottom) = xy.min(axis=0).tolist(), xy.max(axis=0).tolist()
    return left, top, right - left, bottom - top


def _mask_extent(size: Any, counts: Any) -> Box | None:
    """Return the extent of a mask: of the pixels in its second, fourth, ... runs."""
    try:
        height, width = (int(length) for length in size)
        runs = np.array(_run_lengths(counts) if isinstance(counts, str) else counts, np.int64)
    except (TypeError, ValueError, OverflowError):
        return None
    if runs.ndim != 1 or height < 1 or not 0 < height * width < _MOST_PIXELS:
        return None
    if (runs < 0).any() or (runs > height * width).any() or runs.sum() > height * width:
        return None
    ends = np.cumsum(runs)[1::2]
    starts = ends - runs[1::2]
    starts, last = starts[ends > starts], ends[ends > starts] - 1
    if not len(last):
        return None
    left, right = starts.min() // height, last.max() // height
    top, bottom = _rows(starts, last, height)
    return float(left), float(top), float(right - left + 1), float(bottom - top + 1)


def _rows(starts: NDArray[np.int64], last: NDArray[np.int64], height: int) -> tuple[int, int]:
    """Return the first and last row of runs, given by their first and last pixels."""
    if (starts // height != last // height).any():  # a run continues in the next column
        return 0, height - 1
    return int((starts % height).min()), int((last % height).max())


def _run_lengths(text: str) -> list[int]:
    """Decode pycocotools' text: five bits per character, lowest first, as differences.

    Raises ValueError for another text.
    """
    counts: list[int] = []
    value = shift = 0
    for character in text:
        bits = ord(character) - 48
        if not 0 <= bits < 64 or shift > 60:
            raise ValueError("not a text of run lengths")
        value |= (bits & 31) << shift
        shift += 5
        if bits & 32:  # more characters follow
            continue
        if bits & 16:  # negative
            value -= 1 << shift
        counts.append(value + (counts[-2] if len(counts) > 2 else 0))
        value = shift = 0
    if shift:
        raise ValueError("the text is truncated")
    return counts
