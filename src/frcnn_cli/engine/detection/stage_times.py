"""Detection time by stage of the network (paper, figure 2)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice
from statistics import median
from typing import Any

import numpy as np
import torch
from torch import nn

from frcnn_cli.engine.detection.image import detect_image
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.records import Dataset
from frcnn_cli.engine.seeds import generator_for
from frcnn_cli.engine.settings import DetectSettings
from frcnn_proposals.base import Image, Proposals
from frcnn_proposals.errors import InputError
from frcnn_proposals.images import read_image

_HEAD_LAYERS = ("fc6", "fc7")
NETWORK_STAGES = ("conv", "roi_pooling", "fc6", "fc7", "rest")
STAGES = ("proposals", *NETWORK_STAGES)
_EVERY_SCORE = DetectSettings(score_threshold=None)


def stages_of(network: Any) -> tuple[str, ...]:
    """NETWORK_STAGES, and the stages of the parts that only some networks have."""
    ranker = ("ranker",) if getattr(network, "ranker", None) is not None else ()
    second = getattr(network, "second", None) is not None
    seconds = ("second.fc6", "second.fc7") if second else ()
    return ("conv", *ranker, "roi_pooling", "fc6", "fc7", *seconds, "rest")


class StageClock:
    """Sums the seconds that a network spends in each stage, over all calls."""

    def __init__(self, device: torch.device | None = None) -> None:
        self.device = device
        self.seconds: dict[str, float] = dict.fromkeys(STAGES, 0.0)

    def now(self) -> float:
        """The current time in seconds, after waiting for all work on the device."""
        if self.device is not None and self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Add the time of the block, or of the decorated function, to this stage."""
        start = self.now()
        yield
        self.seconds[name] += self.now() - start

    @contextmanager
    def watching(self, network: Any) -> Iterator[None]:
        """Measure the stages of `network` within the block; the remaining time is `rest`.

        network: has the modules features, fc6 and fc7 and the method pool, as FastRCNN does. The
        parts that only some networks have (`stages_of`) are measured too.
        """
        self.seconds |= dict.fromkeys(set(stages_of(network)) - set(self.seconds), 0.0)
        parts = {"conv": network.features}
        parts |= {
            name: network.get_submodule(name)
            for name in stages_of(network)
            if name.endswith(_HEAD_LAYERS)
        }
        handles = [handle for name, part in parts.items() for handle in self._hooks(name, part)]
        methods = {"pool": "roi_pooling"}
        if getattr(network, "ranker", None) is not None:
            methods["objectness"] = "ranker"
        for name, stage in methods.items():
            setattr(network, name, self.stage(stage)(getattr(network, name)))
        start, seconds_before = self.now(), sum(self.seconds.values())
        try:
            yield
        finally:
            in_stages = sum(self.seconds.values()) - seconds_before
            self.seconds["rest"] += max(0.0, self.now() - start - in_stages)
            for name in methods:
                delattr(network, name)  # restores the method of the class
            for handle in handles:
                handle.remove()

    def _hooks(self, stage: str, part: nn.Module) -> tuple[Any, Any]:
        started = 0.0

        def enter(*_: Any) -> None:
            nonlocal started
            started = self.now()

        def leave(*_: Any) -> None:
            self.seconds[stage] += self.now() - started

        return part.register_forward_pre_hook(enter), part.register_forward_hook(leave)


@dataclass(frozen=True)
class StageTimes:
    """Seconds for one image, from its pixels to its detections.

    stages: conv (the feature layers), roi_pooling, fc6, fc7, and rest (the remaining time); also
    ranker and those of the second head (second.fc6) if the network has these parts.
    """

    seconds: float
    stages: dict[str, float]

    @property
    def fully_connected(self) -> float:
        """fc6 and fc7 of all heads together."""
        return sum(seconds for name, seconds in self.stages.items() if name.endswith(_HEAD_LAYERS))


def time_stages(
    models: Sequence[FastRCNN],
    image: Image,
    proposals: Proposals,
    repeats: int = 5,
    on_run: Callable[[], None] = lambda: None,
    settings: Sequence[DetectSettings] | None = None,
    is_enough: Callable[[list[StageTimes]], bool] = lambda medians: True,
    attempts: int = 1,
) -> list[StageTimes]:
    """Medians over `repeats` detections by each model, interleaved, after an untimed round.

    settings: detection settings of each model; None keeps every detection. is_enough: while False
    for the medians, another `repeats` rounds follow, up to `attempts` times `repeats` in all.
    """
    settings = [_EVERY_SCORE] * len(models) if settings is None else settings
    runs: list[list[dict[str, float]]] = [[] for _ in models]
    for repeat in range(attempts * repeats + 1):
        if repeat > 1 and (repeat - 1) % repeats == 0 and is_enough(_medians(models, runs)):
            break
        for model, model_settings, times in zip(models, settings, runs, strict=True):
            clock = StageClock(model.offset_means.device)
            with clock.watching(model):
                detect_image(model, image, proposals, model_settings)
            if repeat > 0:
                times.append(clock.seconds)
            on_run()
    return _medians(models, runs)


def _medians(
    models: Sequence[FastRCNN], runs: Sequence[Sequence[Mapping[str, float]]]
) -> list[StageTimes]:
    return [
        StageTimes(
            median(sum(seconds.values()) for seconds in times),
            {stage: median(seconds[stage] for seconds in times) for stage in stages_of(model)},
        )
        for model, times in zip(models, runs, strict=True)
    ]


IMAGES, ROUNDS = 3, 3
_STAGE_NAMES = {"conv": "convolution", "roi_pooling": "RoI pooling", "rest": "the rest"}


def mean_stages(
    models: Sequence[FastRCNN],
    dataset: Dataset,
    proposals: Mapping[str, Proposals],
    settings: Sequence[DetectSettings],
) -> list[dict[str, float]]:
    """For each model, seconds per image by stage, over the first IMAGES images.

    settings: detection settings of each model. Images that cannot be read or have no proposals
    are skipped; if none remains, the results are empty.
    """
    images = list(islice(_readable_images(dataset, proposals), IMAGES))
    means: list[dict[str, float]] = [{} for _ in models]
    for image, boxes in images:
        model_times = time_stages(models, image, boxes, ROUNDS, settings=settings)
        for mean, times in zip(means, model_times, strict=True):
            for stage, seconds in times.stages.items():
                name = _STAGE_NAMES.get(stage, stage)
                mean[name] = mean.get(name, 0.0) + seconds / len(images)
    return means


def _readable_images(
    dataset: Dataset, proposals: Mapping[str, Proposals]
) -> Iterator[tuple[Image, Proposals]]:
    """Yield readable images that have proposals, with their proposals."""
    for record in dataset.images:
        boxes = proposals[record.image_id]
        with suppress(InputError):
            if len(boxes):
                yield read_image(record.path), boxes


def sample_image(height: int = 375, width: int = 500) -> Image:
    """Random noise of a typical image size: (height, width, 3) uint8."""
    return generator_for("sample image").integers(0, 256, (height, width, 3), np.uint8)


def sample_proposals(count: int = 2000, height: int = 375, width: int = 500) -> Proposals:
    """Random boxes whose sizes and shapes are distributed like those of selective search."""
    generator = generator_for("sample proposals")
    # The logarithms of the sides are uniform, from a twentieth of the image to all of it.
    fractions = np.exp(generator.uniform(np.log(0.05), 0.0, (count, 2)))
    sizes = np.array([width, height]) * fractions
    corners = generator.uniform(0, 1, (count, 2)) * (np.array([width, height]) - sizes)
    boxes = np.concatenate([corners, corners + sizes - 1], axis=1)
    return Proposals(np.round(np.clip(boxes, 0, None)).astype(np.float32))
