"""The box around a mask in COCO json (run lengths or polygons), without drawing the mask."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# A run length of more characters would be more than 2^34 pixels.
_MOST_CHARACTERS = 7
_MOST_PIXELS = 1 << 34
Extent = tuple[float, float, float, float]


def mask_extent(segmentation: Any) -> Extent | None:
    """x, y, width and height of the box around a mask; None for a mask without pixels.

    segmentation: {"size": [height, width], "counts": run lengths, as a list or compressed}, or
    a list of polygons x1, y1, x2, y2, ... Raises ValueError for anything else.
    """
    if isinstance(segmentation, dict):
        return _of_runs(segmentation)
    if isinstance(segmentation, list) and segmentation:
        return _of_polygons(segmentation)
    raise ValueError("its segmentation is neither run lengths nor polygons")


def _of_runs(rle: dict[str, Any]) -> Extent | None:
    """Runs alternate between 0 and 1, start with 0, and go down the columns."""
    size = rle.get("size")
    if not isinstance(size, list) or len(size) != 2 or any(type(n) is not int for n in size):
        raise ValueError("its run lengths have no size")
    height, width = size
    counts = rle.get("counts")
    runs = _decompressed(counts) if isinstance(counts, str) else _whole_numbers(counts)
    pixels = height * width
    fits = height > 0 and width > 0 and pixels <= _MOST_PIXELS
    if not fits or (runs < 0).any() or (runs > pixels).any() or int(runs.sum()) != pixels:
        raise ValueError("its run lengths do not fill its size")
    ends = np.cumsum(runs)
    ones = runs[1::2] > 0
    starts, lasts = (ends - runs)[1::2][ones], ends[1::2][ones] - 1
    if len(starts) == 0:
        return None
    left, right = int(starts[0]) // height, int(lasts[-1]) // height
    if (starts // height != lasts // height).any():
        # A run that continues in the next column contains the last and the first row.
        top, bottom = 0, height - 1
    else:
        top, bottom = int((starts % height).min()), int((lasts % height).max())
    return left, top, right - left + 1, bottom - top + 1


def _decompressed(text: str) -> NDArray[np.int64]:
    """COCO's strings: 5 bits per character, plus 48.

    From the third run on, each number is the difference from the run two places before.
    """
    runs: list[int] = []
    value = shift = 0
    for character in text.encode("latin1", "replace"):
        bits = character - 48
        if not 0 <= bits < 64 or shift == 5 * _MOST_CHARACTERS:
            raise ValueError("its compressed run lengths are damaged")
        value |= (bits & 31) << shift
        shift += 5
        if not bits & 32:
            if bits & 16:
                value -= 1 << shift
            runs.append(value + runs[-2] if len(runs) > 2 else value)
            value = shift = 0
    if shift:
        raise ValueError("its compressed run lengths are truncated")
    return _whole_numbers(runs)


def _whole_numbers(runs: Any) -> NDArray[np.int64]:
    if not isinstance(runs, list) or any(type(run) is not int for run in runs):
        raise ValueError("its run lengths are not whole numbers")
    try:
        return np.array(runs, np.int64)
    except OverflowError as error:
        raise ValueError("its run lengths are too large") from error


def _of_polygons(polygons: list[Any]) -> Extent:
    """Like COCO's own boxes: from the least to the greatest coordinate."""
    if not all(isinstance(polygon, list) for polygon in polygons):
        raise ValueError("its polygons are not lists of numbers")
    try:
        points = np.concatenate([np.array(polygon, np.float64).ravel() for polygon in polygons])
    except (TypeError, ValueError) as error:
        raise ValueError("its polygons are not lists of numbers") from error
    if len(points) < 2 or any(len(polygon) % 2 for polygon in polygons):
        raise ValueError("its polygons need an x and a y for each point")
    x, y = points[::2], points[1::2]
    return (
        float(x.min()),
        float(y.min()),
        float(x.max() - x.min()),
        float(y.max() - y.min()),
    )
