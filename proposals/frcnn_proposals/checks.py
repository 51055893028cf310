"""What every list of boxes from outside must hold."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from frcnn_proposals.base import Proposals

# How far a corner may stick out: what float32 loses in another format's arithmetic.
_TOLERANCE = 1e-2


def check_proposals(
    proposals: Proposals, width: int | None = None, height: int | None = None
) -> None:
    """Raises ValueError, naming the first bad box, unless all are finite, the right way
    round and, where the image's size in pixels is given, inside it.
    """
    boxes, scores = proposals.boxes, proposals.scores
    _refuse(boxes, ~np.isfinite(boxes).all(axis=1), "is not finite")
    if scores is not None:
        _refuse(boxes, np.isnan(scores), "has no number for a score")
    inverted = (boxes[:, 2] < boxes[:, 0]) | (boxes[:, 3] < boxes[:, 1])
    _refuse(boxes, inverted, "is turned inside out")
    if width is not None and height is not None:
        limits = np.array([width - 1, height - 1], np.float32) + _TOLERANCE
        outside = (boxes[:, :2] < -_TOLERANCE).any(axis=1) | (boxes[:, 2:] > limits).any(axis=1)
        _refuse(boxes, outside, f"is outside its image of {width} x {height} pixels")


def _refuse(boxes: NDArray[np.float32], bad: Any, fault: str) -> None:
    if bad.any():
        first = int(np.argmax(bad))
        corners = ", ".join(f"{value:g}" for value in boxes[first])
        raise ValueError(f"box {first} ({corners}) {fault}; {int(bad.sum())} of {len(bad)} do so")
