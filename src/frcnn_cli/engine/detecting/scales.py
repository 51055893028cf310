"""At which scale each proposal is read (paper, sections 4 and 5.2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from frcnn_cli.engine.boxes import areas
from frcnn_cli.engine.settings import DetectSettings, Preprocessing
from frcnn_cli.engine.transforms import image_scale

# The longest side of an image at any of several scales, as in the paper.
MAX_SIZE = 2000


@dataclass(frozen=True)
class Reading:
    """One scale that the image is seen at, and the indices of the proposals read there."""

    preprocessing: Preprocessing
    rows: NDArray[np.int64]


def readings(
    boxes: NDArray[np.float32],
    size: tuple[int, int],
    preprocessing: Preprocessing,
    settings: DetectSettings,
) -> Iterator[Reading]:
    """The scales that have proposals: all of them at the preprocessing's own, or each at that
    of settings.scales at which its area comes nearest to settings.roi_side squared.

    boxes: (R, 4). size: height and width of the image.
    """
    if not settings.scales:
        yield Reading(preprocessing, np.arange(len(boxes)))
        return
    longest = max(preprocessing.max_size, MAX_SIZE, *settings.scales)
    shown = [replace(preprocessing, scale=s, max_size=longest) for s in settings.scales]
    factors = np.array([image_scale(*size, each) for each in shown])
    seen = areas(boxes)[:, None] * factors**2
    nearest = np.abs(seen - settings.roi_side**2).argmin(axis=1)
    for index, each in enumerate(shown):
        rows = np.flatnonzero(nearest == index)
        if len(rows):
            yield Reading(each, rows)
