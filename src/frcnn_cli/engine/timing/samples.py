"""A photograph and proposals to time models on."""

from __future__ import annotations

import numpy as np

from frcnn_cli.engine.seeds import generator_for
from frcnn_proposals.base import Image, Proposals


def sample_image(height: int = 375, width: int = 500) -> Image:
    """Noise the size of a usual photograph: (height, width, 3) uint8."""
    return generator_for("sample image").integers(0, 256, (height, width, 3), np.uint8)


def sample_proposals(count: int = 2000, height: int = 375, width: int = 500) -> Proposals:
    """Boxes of many sizes and shapes, drawn like those of selective search."""
    generator = generator_for("sample proposals")
    # Sides spread evenly on a logarithmic scale, from a twentieth of the image to all of it.
    fractions = np.exp(generator.uniform(np.log(0.05), 0.0, (count, 2)))
    sizes = np.array([width, height]) * fractions
    corners = generator.uniform(0, 1, (count, 2)) * (np.array([width, height]) - sizes)
    boxes = np.concatenate([corners, corners + sizes - 1], axis=1)
    return Proposals(np.round(np.clip(boxes, 0, None)).astype(np.float32))
