"""Enlarge small images, so that captions, whose text has a minimum size, do not cover them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage

from frcnn_proposals.base import Image

_SMALL, _LARGE_ENOUGH = 96, 240  # pixels of the shorter side
_LONGEST = 2000  # pixels of the longer side of an enlarged image


def enlargement(image: Image) -> int:
    """The factor by which to draw an image: 1, unless its shorter side is below 96 pixels.

    With the factor, this side has at least 240 pixels, unless the longer one would exceed 2,000.
    """
    shorter, longer = sorted(image.shape[:2])
    if shorter >= _SMALL:
        return 1
    factor: int = min(-(-_LARGE_ENOUGH // shorter), _LONGEST // longer)
    return max(1, factor)


def enlarged_image(image: Image, factor: int) -> Image:
    """An RGB image (H, W, 3) with `factor` times the height and width."""
    if factor == 1:
        return image
    height, width = (factor * side for side in image.shape[:2])
    resized = PillowImage.fromarray(image).resize((width, height), PillowImage.Resampling.BICUBIC)
    return np.asarray(resized)


def enlarged_boxes(boxes: NDArray[np.float32], factor: int) -> NDArray[np.float32]:
    """Boxes (..., 4) in pixels of the enlarged image. They include all of their corner pixels."""
    last = np.array([0, 0, factor - 1, factor - 1], np.float32)
    return boxes * np.float32(factor) + last
