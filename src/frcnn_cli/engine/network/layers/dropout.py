"""Dropout whose masks depend on the image, not on the batch.

A mini-batch that is split over several processes has the same masks as in one process, and a
resumed run has the same masks as an uninterrupted run.
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


def in_blocks(images: Sequence[ImageRows], most: int) -> list[ImageRows]:
    """The same RoIs in blocks of at most `most` of one image, each with its own seed."""
    return [
        ImageRows(min(most, image.rows - first), image.seed + first)
        for image in images
        for first in range(0, image.rows, most)
    ]


class RowDropout:
    """Dropout for one pass through the head; each call draws the masks of the next layer."""

    def __init__(self, images: Sequence[ImageRows], device: torch.device) -> None:
        self.images = tuple(images)
        self._rows = [image.rows for image in images]
        self._generators = [torch.Generator(device).manual_seed(image.seed) for image in images]

    def __call__(self, x: Tensor, probability: float) -> Tensor:
        """Set each value of x (R, n) to zero with `probability`, and scale up the others."""
        keep = 1.0 - probability
        masks = [
            x.new_empty(rows, x.shape[1]).bernoulli_(keep, generator=generator)
            for rows, generator in zip(self._rows, self._generators, strict=True)
        ]
        return x * (torch.cat(masks) / keep)
