"""The box around a mask as COCO json writes it: run lengths or polygons. No mask is drawn."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

# A run length of more characters would be over 2^34 pixels.
_MOST_CHARACTERS = 7
_MOST_PIXELS = 1 << 34
Extent = tuple[float, float, float, float]


def mask_extent(segmentation: Any) -> Extent | None:
    """x, y, width and height around a mask; None where it has no pixel.

    segmentation: {"size": [height, width], "counts": run lengths, as a list or compressed}, or
    a list of polygons x1, y1, x2, y2, ... Raises ValueError where it is neither.
    """
    if isinstance(segmentation, dict):
        return _of_runs(segmentation)
    if isinstance(segmentation, list) and segmentation:
        return _of_polygons(segmentation)
    raise ValueError("its segmentation is neither run lengths nor polygons")


def _of_runs(rle: dict[str, Any]) -> Extent | None:
    """Runs of 0 and 1 in turn, 0 first, go down the columns."""
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
        top, bottom = 0, height - 1  # a run into the next column has the last row, and the first
    else:
        top, bottom = int((starts % height).min()), int((lasts % height).max())
    return left, top, right - left + 1, bottom - top + 1


def _decompressed(text: str) -> NDArray[np.int64]:
    """COCO's strings: 5 bits a character from 48 on, from the third on differences to the one
    before the last.
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
        raise ValueError("its compressed run lengths are cut")
    return _whole_numbers(runs)


def _whole_numbers(runs: Any) -> NDArray[np.int64]:
    if not isinstance(runs, list) or any(type(run) is not int for run in runs):
        raise ValueError("its run lengths are no whole numbers")
    try:
        return np.array(runs, np.int64)
    except OverflowError as error:
        raise ValueError("its run lengths are too large") from error


def _of_polygons(polygons: list[Any]) -> Extent:
    """As COCO's own boxes are: from the least to the greatest coordinate."""
    if not all(isinstance(each, list) for each in polygons):
        raise ValueError("its polygons are no lists of numbers")
    try:
        points = np.concatenate([np.array(each, np.float64).ravel() for each in polygons])
    except (TypeError, ValueError) as error:
        raise ValueError("its polygons are no lists of numbers") from error
    if len(points) < 2 or any(len(each) % 2 for each in polygons):
        raise ValueError("its polygons need an x and a y for each point")
    x, y = points[::2], points[1::2]
    return (
        float(x.min()),
        float(y.min()),
        float(x.max() - x.min()),
        float(y.max() - y.min()),
    )
