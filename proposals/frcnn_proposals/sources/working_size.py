"""Search large images at a bounded working size, and return the boxes in their own pixels."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frcnn_proposals.base import Image

# Images of VOC are searched as they are. docs/selective-search.md says how this was chosen.
WORKING_PIXELS = 500 * 500
# A function from an RGB image to the boxes in it: integers (N, 4), inclusive corners.
Search = Callable[[Image], NDArray[Any]]


def search_at_working_size(
    image: Image, working_pixels: int | None, search: Search
) -> NDArray[np.float32]:
    """The boxes (N, 4) of `search` for an RGB image (H, W, 3) uint8, in pixels of this image.

    An image of more than `working_pixels` is reduced by area averaging first. Different boxes of
    the reduced image stay different. None does not reduce the image.
    """
    height, width = image.shape[:2]
    working_width, working_height = working_size(width, height, working_pixels)
    if (working_width, working_height) == (width, height):
        return np.asarray(search(image), np.float32)
    boxes = np.array(search(_averaged(image, working_width, working_height)), np.int64)
    boxes[:, 2:] += 1  # from the last pixels to the edges, which are multiplied
    full = np.array([width, height, width, height])
    working = np.array([working_width, working_height, working_width, working_height])
    boxes = (2 * boxes * full + working) // (2 * working)  # rounded
    boxes[:, 2:] -= 1
    return np.asarray(boxes, np.float32)


def working_size(width: int, height: int, working_pixels: int | None) -> tuple[int, int]:
    """Width and height with about the same ratio and at most `working_pixels` pixels."""
    if working_pixels is None or width * height <= working_pixels:
        return width, height
    factor = math.sqrt(working_pixels / (width * height))
    shorter, longer = sorted((width, height))
    reduced = max(1, math.floor(shorter * factor))
    other = max(1, min(math.floor(longer * factor), int(working_pixels // reduced)))
    return (reduced, other) if width < height else (other, reduced)


def _averaged(image: Image, width: int, height: int) -> Image:
    import cv2

    rows, columns = image.shape[:2]
    # OpenCV averages 2 x 2 pixels ten times as fast as by other factors.
    while columns >= 2 * width and rows >= 2 * height and columns % 2 == rows % 2 == 0:
        rows, columns = rows // 2, columns // 2
        image = cv2.resize(image, (columns, rows), interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
    averaged = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
    return averaged.astype(np.uint8, copy=False)
