"""Layouts of boxes in files, and their conversion to this project's convention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Order = Literal["xyxy", "yxyx", "xywh"]
ORDERS: tuple[Order, ...] = ("xyxy", "yxyx", "xywh")
Corners = Literal["inclusive", "continuous"]
Corner = NDArray[np.float64]  # (N, 2), x and y
CORNERS: tuple[Corners, ...] = ("inclusive", "continuous")
_SWAPPED = [1, 0, 3, 2]
_ROUNDING = 1e-3  # pixels, by which a side of one pixel can be short in float32


@dataclass(frozen=True)
class BoxLayout:
    """How a file stores a box.

    order: the order of the columns; xywh is corner, width and height. base: the coordinate of the
    first pixel, 0 or 1. continuous: the maximum corner is one past the last pixel.
    """

    order: Order
    base: int
    continuous: bool = False

    @property
    def corners(self) -> Corners:
        return "continuous" if self.continuous else "inclusive"

    def __str__(self) -> str:
        columns = {"xyxy": "x1, y1, x2, y2", "yxyx": "y1, x1, y2, x2", "xywh": "x, y, w, h"}
        return f"{columns[self.order]}, {self.base}-based, {self.corners}"


def from_layout(rows: NDArray[Any], layout: BoxLayout) -> NDArray[np.float32]:
    """Convert boxes (N, 4) of a file to x1, y1, x2, y2, 0-based, inclusive corners.

    A side that is shorter than a pixel becomes the pixel in which it begins.
    """
    # In float64, because unsigned integers would wrap around below zero.
    boxes = np.asarray(rows, np.float64).reshape(-1, 4)
    if layout.order == "yxyx":
        boxes = boxes[:, _SWAPPED]
    elif layout.order == "xywh":
        boxes = np.concatenate((boxes[:, :2], boxes[:, :2] + boxes[:, 2:]), axis=1)
    boxes = boxes - layout.base
    if layout.continuous or layout.order == "xywh":
        boxes = np.concatenate(_first_and_last(boxes[:, :2], boxes[:, 2:]), axis=1)
    with np.errstate(over="ignore"):  # values beyond float32 become infinite and are rejected
        return boxes.astype(np.float32)


def _first_and_last(low: Corner, end: Corner) -> tuple[Corner, Corner]:
    """The first and the last pixel of boxes whose maximum corner is one past the last pixel."""
    short = (low < end) & (end - low < 1 - _ROUNDING)
    first = np.where(short, np.floor(low), low)
    last = np.where(low < end, np.maximum(end - 1, first), end - 1)
    return first, np.where(short, first, last)


def to_layout(boxes: NDArray[np.float32], layout: BoxLayout) -> NDArray[np.float64]:
    """The inverse of from_layout, in float64 to keep full precision."""
    rows = boxes.astype(np.float64) + layout.base
    if layout.continuous:
        rows[:, 2:] += 1
    if layout.order == "yxyx":
        return rows[:, _SWAPPED]
    if layout.order == "xywh":
        return np.concatenate((rows[:, :2], rows[:, 2:] - rows[:, :2] + 1), axis=1)
    return rows


def table_of(boxes: NDArray[np.float32], layout: BoxLayout) -> NDArray[Any]:
    """Like to_layout, in float32 unless this loses precision."""
    rows = to_layout(boxes, layout)
    single = rows.astype(np.float32)
    return single if np.array_equal(single, rows) else rows
