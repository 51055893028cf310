"""Dropout whose masks belong to images, not to the batch they happen to be in.

So a mini-batch that is split over processes drops what it drops in one, and a resumed run
drops what it would have.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class ImageRows(NamedTuple):
    """Consecutive RoIs of one image, and the seed of their dropout."""

    rows: int
    seed: int


class RowDropout:
    """Draws the masks of one pass through the head, layer by layer."""

    def __init__(self, images: Sequence[ImageRows], device: torch.device) -> None:
        self._rows = [image.rows for image in images]
        self._generators = [torch.Generator(device).manual_seed(image.seed) for image in images]

    def __call__(self, x: Tensor, probability: float) -> Tensor:
        """x (R, n) with each number zeroed by `probability`, the others scaled up to match."""
        keep = 1.0 - probability
        masks = [
            x.new_empty(rows, x.shape[1]).bernoulli_(keep, generator=generator)
            for rows, generator in zip(self._rows, self._generators, strict=True)
        ]
        return x * (torch.cat(masks) / keep)
