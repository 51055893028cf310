"""Checks for boxes that come from outside."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from frcnn_proposals.base import Proposals
from frcnn_proposals.wording import some_of

# Pixels that a corner may be outside the image: rounding in float32 during conversions.
TOLERANCE = 1e-2


def check_proposals(
    proposals: Proposals, width: int | None = None, height: int | None = None
) -> None:
    """Check that all boxes are finite, not inverted and, if a size is given, inside the image.

    Raises ValueError, which names the first invalid box. width, height: of the image, in pixels.
    """
    boxes, scores = proposals.boxes, proposals.scores
    _reject(boxes, ~np.isfinite(boxes).all(axis=1), "is not finite")
    if scores is not None:
        _reject(boxes, np.isnan(scores), "has NaN as its score")
    inverted = (boxes[:, 2] < boxes[:, 0]) | (boxes[:, 3] < boxes[:, 1])
    _reject(boxes, inverted, "has x2 < x1 or y2 < y1")
    if width is not None and height is not None:
        outside = _reaches_outside(boxes, width, height)
        _reject(boxes, outside, f"is outside its image of {width} x {height} pixels")


def clip_proposals(proposals: Proposals, width: int, height: int) -> Proposals:
    """Clip boxes that reach outside the image, and remove those without a pixel inside.

    The result's `clipped` counts both. Other boxes are not changed.
    """
    boxes, scores = proposals.boxes, proposals.scores
    outside = _reaches_outside(boxes, width, height)
    if not outside.any():
        return proposals
    last = np.array([width - 1, height - 1], np.float32)
    inside = (boxes[:, :2] <= last).all(axis=1) & (boxes[:, 2:] >= 0).all(axis=1)
    boxes = np.where(outside[:, None], np.clip(boxes, 0, np.tile(last, 2)), boxes)[inside]
    return Proposals(boxes, None if scores is None else scores[inside], int(outside.sum()))


def _reaches_outside(boxes: NDArray[np.float32], width: int, height: int) -> NDArray[np.bool_]:
    limits = np.array([width - 1, height - 1], np.float32) + TOLERANCE
    outside = (boxes[:, :2] < -TOLERANCE) | (boxes[:, 2:] > limits)
    return np.asarray(outside.any(axis=1))


def _reject(boxes: NDArray[np.float32], bad: Any, fault: str) -> None:
    if bad.any():
        first = int(np.argmax(bad))
        corners = ", ".join(f"{value:g}" for value in boxes[first])
        raise ValueError(
            f"box {first} ({corners}) {fault}; "
            f"{some_of(int(bad.sum()), len(bad), 'box', 'is', 'are', 'boxes')} invalid"
        )
