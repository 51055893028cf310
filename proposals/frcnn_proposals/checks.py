"""Checks for boxes that come from outside."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from frcnn_proposals.base import Proposals
from frcnn_proposals.wording import some_of

# Pixels that a corner may be outside the image: rounding in float32 during conversions.
TOLERANCE = 1e-2
_LOWEST = np.float32(-TOLERANCE)


def check_proposals(
    proposals: Proposals, width: int | None = None, height: int | None = None
) -> None:
    """Check that all boxes are finite, not inverted and, if a size is given, inside the image.

    Raises ValueError, which names the first invalid box. width, height: of the image, in pixels.
    """
    boxes, scores = proposals.boxes, proposals.scores
    if _are_valid(boxes, scores, width, height):
        return
    _reject(boxes, ~np.isfinite(boxes).all(axis=1), "is not finite")
    if scores is not None:
        _reject(boxes, np.isnan(scores), "has NaN as its score")
    inverted = (boxes[:, 2] < boxes[:, 0]) | (boxes[:, 3] < boxes[:, 1])
    _reject(boxes, inverted, "has x2 < x1 or y2 < y1")
    if width is not None and height is not None:
        outside = _reaches_outside(boxes, width, height)
        _reject(boxes, outside, f"is outside its image of {width} x {height} pixels")


def _are_valid(
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32] | None,
    width: int | None,
    height: int | None,
) -> bool:
    """Whether check_proposals would find no fault. This is faster than locating one.

    A comparison with NaN is false. If all corners are in order, they are finite if the outermost
    ones are.
    """
    if len(boxes) == 0:
        return True
    columns = np.ascontiguousarray(boxes.T)
    if not (columns[:2] <= columns[2:]).all() or (scores is not None and np.isnan(scores.min())):
        return False
    lowest, highest = columns[:2].min(), columns[2:].max(axis=1)
    if width is None or height is None:
        return bool(np.isfinite(lowest) and np.isfinite(highest).all())
    return bool(lowest >= _LOWEST and (highest <= _limits(width, height)).all())


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
    outside = (boxes[:, :2] < _LOWEST) | (boxes[:, 2:] > _limits(width, height))
    return np.asarray(outside.any(axis=1))


def _limits(width: int, height: int) -> NDArray[np.float32]:
    return np.array([width - 1, height - 1], np.float32) + np.float32(TOLERANCE)


def _reject(boxes: NDArray[np.float32], bad: Any, fault: str) -> None:
    if bad.any():
        first = int(np.argmax(bad))
        corners = ", ".join(f"{value:g}" for value in boxes[first])
        raise ValueError(
            f"box {first} ({corners}) {fault}; "
            f"{some_of(int(bad.sum()), len(bad), 'box', 'is', 'are', 'boxes')} invalid"
        )
