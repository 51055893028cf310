"""Seconds an image by stage of the network, of several models in turn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median

from frcnn_cli.engine.detect import detect_image
from frcnn_cli.engine.model import FastRCNN
from frcnn_cli.engine.settings import DetectSettings
from frcnn_cli.engine.timing.stage_clock import StageClock
from frcnn_proposals.base import Image, Proposals

STAGES = ("conv", "roi_pooling", "fc6", "fc7", "rest")
EVERYTHING = DetectSettings(score_threshold=None)


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
    settings: DetectSettings = EVERYTHING,
) -> list[StageTimes]:
    """Medians over `repeats` detections by each model, turn by turn, after an untimed round.

    settings: how is detected.
    """
    runs: list[list[StageTimes]] = [[] for _ in models]
    for repeat in range(repeats + 1):
        for model, times in zip(models, runs, strict=True):
            once = _time_once(model, image, proposals, settings)
            if repeat > 0:
                times.append(once)
            on_run()
    return [_median(times) for times in runs]


def _median(times: Sequence[StageTimes]) -> StageTimes:
    stages = {stage: median(each.stages[stage] for each in times) for stage in STAGES}
    return StageTimes(median(each.seconds for each in times), stages)


def _time_once(
    model: FastRCNN, image: Image, proposals: Proposals, settings: DetectSettings
) -> StageTimes:
    clock = StageClock(model.offset_means.device)
    with clock.watching(model):
        detect_image(model, image, proposals, settings)
    stages = {stage: clock.seconds[stage] for stage in STAGES}
    return StageTimes(sum(stages.values()), stages)
