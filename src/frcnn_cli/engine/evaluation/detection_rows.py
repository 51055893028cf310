"""Detections as a file lists them, one a row, before they are gathered by image."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class DetectionRows:
    """image_ids: D strings; labels (D,) 1..K; scores (D,); boxes (D, 4), the toolkit's own
    coordinates. where: a row's number to its place in the file, in words."""

    image_ids: list[str]
    labels: NDArray[np.int64]
    scores: NDArray[np.float64]
    boxes: NDArray[np.float64]
    where: Callable[[int], str]
