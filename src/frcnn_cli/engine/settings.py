"""Settings as frozen dataclasses, checked when made and passed on as arguments.

A value out of range raises MisuseError.

Defaults are the paper's where the paper gives one; `docs/training.md` says which differ.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Literal

from frcnn_cli.engine.boxes import BoxCoding
from frcnn_proposals.errors import MisuseError


def _check(condition: bool, message: str) -> None:
    if not condition:
        raise MisuseError(message[0].upper() + message[1:] + ".")


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes the network's input; stored with the model.

    scale: length of the shorter side in pixels, unless the longer would exceed max_size.
    mean and std: for each channel in `channels` order, on pixels divided by `divisor`.
    """

    scale: int = 600
    max_size: int = 1000
    channels: Literal["rgb", "bgr"] = "rgb"
    divisor: float = 255.0
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)

    def __post_init__(self) -> None:
        _check(self.scale >= 32, f"scale is {self.scale} pixels; it must be 32 or more")
        _check(self.max_size >= self.scale, f"max_size {self.max_size} is under scale {self.scale}")
        _check(self.channels in ("rgb", "bgr"), f"channels is {self.channels!r}, not rgb or bgr")
        _check(self.divisor > 0, f"divisor is {self.divisor}; it must be positive")
        for values in (self.mean, self.std):
            _check(
                len(values) == 3 and all(map(math.isfinite, values)),
                f"mean and std need three finite numbers each, not {values}",
            )
        _check(min(self.std) > 0, f"std is {self.std}; it must be positive")

    def at_scale(self, scale: int | None) -> Preprocessing:
        """The same with another scale, max_size in proportion; unchanged for None."""
        if scale is None:
            return self
        return replace(self, scale=scale, max_size=round(scale * self.max_size / self.scale))


@dataclass(frozen=True)
class Architecture:
    """Everything that rebuilds a network's modules before its weights are read.

    classes: names of labels 1..K. hidden: outputs of fc6 and fc7. ranks: layer name -> rank,
    for layers replaced by truncated SVD. pretrained: whether the feature layers come from
    ImageNet, so that the first of them are frozen.
    """

    backbone: str
    classes: tuple[str, ...]
    hidden: tuple[int, int]
    preprocessing: Preprocessing
    box_coding: BoxCoding = "inclusive"
    ranks: dict[str, int] = field(default_factory=dict)
    pretrained: bool = True

    def __post_init__(self) -> None:
        _check(len(self.classes) > 0, "a detector needs at least one class")
        _check(len(set(self.classes)) == len(self.classes), "two classes have the same name")
        _check(
            len(self.hidden) == 2 and min(self.hidden) > 0,
            f"fc6 and fc7 need a positive size each, not {self.hidden}",
        )
        _check(self.box_coding in ("inclusive", "caffe"), f"unknown box coding {self.box_coding!r}")


@dataclass(frozen=True)
class Sampling:
    """How a mini-batch is drawn (paper, section 2.3): R = 128 RoIs from N = 2 images."""

    images: int = 2
    rois_per_image: int = 64
    foreground_fraction: float = 0.25
    foreground_iou: float = 0.5
    background_iou: tuple[float, float] = (0.1, 0.5)
    flip: bool = True

    def __post_init__(self) -> None:
        _check(self.images >= 1 and self.rois_per_image >= 1, "a batch needs an image and an RoI")
        _check(0 <= self.foreground_fraction <= 1, "the foreground fraction lies in 0..1")
        _check(0 < self.foreground_iou <= 1, "the foreground IoU lies in 0..1")
        low, high = self.background_iou
        _check(
            0 <= low < high <= self.foreground_iou,
            f"the background's IoU range {low}..{high} must be increasing and stay under "
            f"the foreground's {self.foreground_iou}",
        )


@dataclass(frozen=True)
class Schedule:
    """SGD and its learning rate: constant, then times `gamma` for the last part.

    warmup: iterations over which the rate rises linearly from a tenth of itself.
    """

    iterations: int = 40_000
    learning_rate: float = 0.001
    step_at: float = 0.75
    gamma: float = 0.1
    warmup: int = 0
    momentum: float = 0.9
    weight_decay: float = 0.0005

    def __post_init__(self) -> None:
        _check(self.iterations >= 1, "training needs at least one iteration")
        _check(
            self.learning_rate > 0 and math.isfinite(self.learning_rate),
            f"the learning rate is {self.learning_rate}; it must be positive",
        )
        _check(0 < self.step_at <= 1, "step_at is a fraction of the iterations, in 0..1")

    def rate_at(self, iteration: int) -> float:
        """The learning rate of one iteration, counted from 0."""
        rate = self.learning_rate
        if iteration < self.warmup:
            rate *= 0.1 + 0.9 * iteration / self.warmup
        if iteration >= self.step_at * self.iterations:
            rate *= self.gamma
        return rate


@dataclass(frozen=True)
class TrainSettings:
    """One training run. proposals: at most so many a training image."""

    sampling: Sampling = field(default_factory=Sampling)
    schedule: Schedule = field(default_factory=Schedule)
    seed: int = 0
    proposals: int = 2000
    workers: int = 1
    checkpoint_every: int = 500

    def __post_init__(self) -> None:
        _check(self.checkpoint_every >= 1, "checkpoints are written every 1 iterations or more")
        _check(self.workers >= 0, "the number of workers cannot be negative")


@dataclass(frozen=True)
class DetectSettings:
    """The test procedure (paper, section 3, and the first implementation).

    A box is dropped by non-maximum suppression if its IoU with a kept one of its class is
    over nms_iou. max_per_class: boxes a class and image by score, before suppression.
    """

    score_threshold: float = 0.5
    nms_iou: float = 0.3
    max_per_class: int = 100
    top_k: int = 100
    proposals: int = 2000

    def __post_init__(self) -> None:
        _check(0 <= self.score_threshold <= 1, "the score threshold lies in 0..1")
        _check(0 <= self.nms_iou <= 1, "the IoU of suppression lies in 0..1")
        _check(self.top_k >= 1 and self.max_per_class >= 1, "keep at least one detection")
        _check(self.proposals >= 1, "detection needs at least one proposal")
