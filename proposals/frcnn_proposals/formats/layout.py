"""How a file writes a box, and what that means in this project's convention."""

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
    """order: the columns' order; xywh is corner, width and height. base: the first pixel's
    coordinate, 0 or 1. continuous: the maximum corner lies one past the last pixel.
    """

    order: Order
    base: int
    continuous: bool = False

    def __str__(self) -> str:
        columns = {"xyxy": "x1, y1, x2, y2", "yxyx": "y1, x1, y2, x2", "xywh": "x, y, w, h"}
        corners = "continuous" if self.continuous else "inclusive"
        return f"{columns[self.order]}, {self.base}-based, {corners}"


def from_layout(rows: NDArray[Any], layout: BoxLayout) -> NDArray[np.float32]:
    """Boxes (N, 4) as a file has them, as x1, y1, x2, y2, 0-based, inclusive."""
    # Through float64: unsigned whole numbers would wrap round below zero.
    boxes = np.asarray(rows, np.float64).reshape(-1, 4)
    if layout.order == "yxyx":
        boxes = boxes[:, _SWAPPED]
    elif layout.order == "xywh":
        boxes = np.concatenate((boxes[:, :2], boxes[:, :2] + boxes[:, 2:] - 1), axis=1)
    boxes = boxes - layout.base
    if layout.continuous:
        boxes[:, 2:] -= 1
    with np.errstate(over="ignore"):  # what float32 cannot hold becomes infinite, and is refused
        return boxes.astype(np.float32)


def to_layout(boxes: NDArray[np.float32], layout: BoxLayout) -> NDArray[np.float64]:
    """The inverse of from_layout, in float64 so that nothing is lost."""
    rows = boxes.astype(np.float64) + layout.base
    if layout.continuous:
        rows[:, 2:] += 1
    if layout.order == "yxyx":
        return rows[:, _SWAPPED]
    if layout.order == "xywh":
        return np.concatenate((rows[:, :2], rows[:, 2:] - rows[:, :2] + 1), axis=1)
    return rows
