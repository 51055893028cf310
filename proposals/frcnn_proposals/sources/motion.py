"""How boxes move from one frame of a video to the next, by the motion of corners between them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frcnn_proposals.base import Image

Points = NDArray[np.float64]  # (P, 2), x and y
Edges = NDArray[np.float64]  # (N, 4), x1, y1, x2, y2; exclusive: a box is x2 - x1 wide

_LONGER_SIDE = 320  # of the grey image in which corners are followed
_MOST_CORNERS, _LEAST_QUALITY, _CORNER_DISTANCE = 300, 0.01, 6
_WINDOW, _LEVELS = (15, 15), 3  # corners are found again up to about 60 pixels away
_FARTHEST = 1.5  # pixels between a corner and where the motion of the picture puts it
_FEWEST_CORNERS, _FEWEST_PART = 10, 0.4  # that agree on a motion; with fewer, it is another scene
_GREATEST_SCALE = 2.0
_CORNERS_IN_BOX = 3  # a box with fewer corners moves with the picture


@dataclass(frozen=True)
class View:
    """A frame as it is followed: grey (h, w), and the factor from its pixels to the frame's."""

    grey: NDArray[np.uint8]
    factor: float

    @classmethod
    def of(cls, image: Image) -> View:
        """The view of an RGB image (H, W, 3) uint8."""
        import cv2

        height, width = image.shape[:2]
        factor = max(1.0, max(height, width) / _LONGER_SIDE)
        size = (max(1, round(width / factor)), max(1, round(height / factor)))
        grey: Any = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        if size != (width, height):
            grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA)
        return cls(grey, factor)


@dataclass(frozen=True)
class Motion:
    """The motion between two frames.

    matrix, shift: a similarity transform of the whole picture, x' = matrix x + shift. corners: in
    the first frame. residuals: (P, 2), how much farther than the picture each corner has moved.
    """

    matrix: NDArray[np.float64]
    shift: NDArray[np.float64]
    corners: Points
    residuals: Points

    def moved(self, boxes: Edges) -> Edges:
        """Where the boxes are in the second frame, also outside of it.

        A box moves and scales with the picture, and by the mean residual of the corners in it.
        """
        centres = (boxes[:, :2] + boxes[:, 2:]) / 2 @ self.matrix.T + self.shift
        halves = (boxes[:, 2:] - boxes[:, :2]) / 2 * _scale(self.matrix)
        x, y = self.corners.T
        x1, y1, x2, y2 = (boxes[:, [side]] for side in range(4))
        is_in_box = ((x >= x1) & (x < x2) & (y >= y1) & (y < y2)).astype(np.float64)
        counts = is_in_box.sum(axis=1, keepdims=True)
        means = is_in_box @ self.residuals / np.maximum(counts, 1)
        centres += np.where(counts >= _CORNERS_IN_BOX, means, 0)
        return np.concatenate([centres - halves, centres + halves], axis=1)


def find_motion(before: View, after: View) -> Motion | None:
    """The motion between two frames; None if they do not show the same scene."""
    import cv2

    if before.grey.shape != after.grey.shape:
        return None
    corners: Any = cv2.goodFeaturesToTrack(
        before.grey, _MOST_CORNERS, _LEAST_QUALITY, _CORNER_DISTANCE
    )
    if corners is None or len(corners) < _FEWEST_CORNERS:
        return None
    followed, is_found, _ = cv2.calcOpticalFlowPyrLK(
        before.grey, after.grey, corners, None, winSize=_WINDOW, maxLevel=_LEVELS
    )
    rows = np.flatnonzero(is_found)
    if len(rows) < _FEWEST_CORNERS:
        return None
    first, second = (
        points.reshape(-1, 2)[rows].astype(np.float64) for points in (corners, followed)
    )
    found, agrees = cv2.estimateAffinePartial2D(first, second, ransacReprojThreshold=_FARTHEST)
    if found is None or agrees.sum() < max(_FEWEST_CORNERS, _FEWEST_PART * len(corners)):
        return None
    transform = np.asarray(found, np.float64)
    matrix, shift = transform[:, :2], transform[:, 2]
    if not 1 / _GREATEST_SCALE <= _scale(matrix) <= _GREATEST_SCALE:  # also true for NaN
        return None
    residuals = second - (first @ matrix.T + shift)
    # Corners that moved farther than the search window were confused with others.
    is_near = np.abs(residuals).max(axis=1) <= 2 * max(_WINDOW)
    factor = before.factor
    return Motion(matrix, factor * shift, factor * first[is_near], factor * residuals[is_near])


def _scale(matrix: NDArray[np.float64]) -> float:
    return math.sqrt(abs(float(np.linalg.det(matrix))))
