"""How long models take, measured in turn so that a busy machine is unfair to neither."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence

import numpy as np

from frcnn_cli.engine.detect import detect_image
from frcnn_cli.engine.model import FastRCNN
from frcnn_cli.engine.seeds import generator_for
from frcnn_cli.engine.settings import DetectSettings
from frcnn_proposals.base import Image, Proposals


def median_seconds(actions: Sequence[Callable[[], object]], repeats: int = 5) -> list[float]:
    """Median duration of each action, in seconds; one untimed round, then turn by turn."""
    seconds: list[list[float]] = [[] for _ in actions]
    for repeat in range(repeats + 1):
        for action, durations in zip(actions, seconds, strict=True):
            start = time.perf_counter()
            action()
            if repeat > 0:
                durations.append(time.perf_counter() - start)
    return [statistics.median(durations) for durations in seconds]


def seconds_an_image(models: Sequence[FastRCNN], repeats: int = 5) -> list[float]:
    """Seconds that each model takes for one image of 500 x 375 with 2,000 proposals given."""
    image, proposals = sample_image(), sample_proposals()
    settings = DetectSettings(score_threshold=None)

    def action(model: FastRCNN) -> Callable[[], object]:
        return lambda: detect_image(model, image, proposals, settings)

    return median_seconds([action(model) for model in models], repeats)


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
