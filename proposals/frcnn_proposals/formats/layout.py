"""Layouts of boxes in files, and their conversion to this project's convention."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Order = Literal["xyxy", "yxyx", "xywh"]
ORDERS: tuple[Order, ...] = ("xyxy", "yxyx", "xywh")
_SWAPPED = [1, 0, 3, 2]


@dataclass(frozen=True)
class BoxLayout:
    """How a file stores a box.

    order: the order of the columns; xywh is corner, width and height. base: the coordinate of the
    first pixel, 0 or 1. continuous: the maximum corner is one past the last pixel.
    """

    order: Order
    base: int
    continuous: bool = False

    def __str__(self) -> str:
        columns = {"xyxy": "x1, y1, x2, y2", "yxyx": "y1, x1, y2, x2", "xywh": "x, y, w, h"}
        corners = "continuous" if self.continuous else "inclusive"
        return f"{columns[self.order]}, {self.base}-based, {corners}"


def from_layout(rows: NDArray[Any], layout: BoxLayout) -> NDArray[np.float32]:
    """Convert boxes (N, 4) of a file to x1, y1, x2, y2, 0-based, inclusive corners."""
    # In float64, because unsigned integers would wrap around below zero.
    boxes = np.asarray(rows, np.float64).reshape(-1, 4)
    if layout.order == "yxyx":
        boxes = boxes[:, _SWAPPED]
    elif layout.order == "xywh":
        boxes = np.concatenate((boxes[:, :2], boxes[:, :2] + boxes[:, 2:] - 1), axis=1)
    boxes = boxes - layout.base
    if layout.continuous:
        boxes[:, 2:] -= 1
    with np.errstate(over="ignore"):  # values beyond float32 become infinite and are rejected
        return boxes.astype(np.float32)


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
