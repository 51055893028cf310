"""Seconds an image by stage of the network, of several models in turn."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from torch import nn

from frcnn_cli.engine.detect import detect_image
from frcnn_cli.engine.model import FastRCNN
from frcnn_cli.engine.settings import DetectSettings
from frcnn_proposals.base import Image, Proposals

STAGES = ("conv", "roi_pooling", "fc6", "fc7", "rest")


@dataclass(frozen=True)
class StageTimes:
    """Seconds that one image took, from its pixels to its detections.

    stages: conv (the feature layers), roi_pooling, fc6, fc7, and the rest of the whole.
    """

    seconds: float
    stages: dict[str, float]

    @property
    def fully_connected(self) -> float:
        """fc6 and fc7 together."""
        return self.stages["fc6"] + self.stages["fc7"]


def time_stages(
    models: Sequence[FastRCNN],
    image: Image,
    proposals: Proposals,
    repeats: int = 5,
    on_run: Callable[[], None] = lambda: None,
) -> list[StageTimes]:
    """Medians over `repeats` detections by each model, turn by turn, after an untimed round."""
    runs: list[list[StageTimes]] = [[] for _ in models]
    for repeat in range(repeats + 1):
        for model, times in zip(models, runs, strict=True):
            once = _time_once(model, image, proposals)
            if repeat > 0:
                times.append(once)
            on_run()
    return [_median(times) for times in runs]


def _median(times: Sequence[StageTimes]) -> StageTimes:
    stages = {stage: median(each.stages[stage] for each in times) for stage in STAGES}
    return StageTimes(median(each.seconds for each in times), stages)


def _time_once(model: FastRCNN, image: Image, proposals: Proposals) -> StageTimes:
    settings = DetectSettings(score_threshold=None)
    clock = _Clock(model.offset_means.device)
    with clock.watching(model):
        start = clock.now()
        detect_image(model, image, proposals, settings)
        whole = clock.now() - start
    stages = dict(clock.seconds)
    stages["rest"] = max(0.0, whole - sum(stages.values()))
    return StageTimes(whole, stages)


class _Clock:
    """Adds up the seconds spent in each stage of a model, however often it is entered."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.seconds = dict.fromkeys(STAGES[:-1], 0.0)

    def now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    @contextmanager
    def watching(self, model: FastRCNN) -> Iterator[None]:
        """Within it, what `model` does is timed."""
        pool = model.pool
        stages: dict[str, nn.Module] = {
            "conv": model.features,
            "fc6": model.fc6,
            "fc7": model.fc7,
        }
        handles = [handle for name, part in stages.items() for handle in self._hooks(name, part)]

        def timed_pool(*inputs: Any) -> Any:
            start = self.now()
            pooled = pool(*inputs)
            self.seconds["roi_pooling"] += self.now() - start
            return pooled

        model.pool = timed_pool  # type: ignore[method-assign, assignment]
        try:
            yield
        finally:
            del model.pool  # the class's own again
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
