"""What a network is and what it is shown; stored with its weights."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Literal

from frcnn_cli.engine.boxes import BoxCoding
from frcnn_cli.engine.settings.checks import LARGEST_SIDE, check, check_choice, check_positive

Channels = Literal["rgb", "bgr"]
Classifier = Literal["softmax", "svm"]
_LARGEST_LAYER = 1 << 31  # outputs, as many as can be counted; the paper's have 4,096


@dataclass(frozen=True)
class Preprocessing:
    """How an image becomes the network's input; stored with the model.

    scale: length of the shorter side in pixels, unless the longer would exceed max_size.
    mean and std: for each channel in `channels` order, on pixels divided by `divisor`.
    """

    scale: int = 600
    max_size: int = 1000
    channels: Channels = "rgb"
    divisor: float = 255.0
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)

    def __post_init__(self) -> None:
        check(self.scale >= 32, f"scale is {self.scale} pixels; it must be 32 or more")
        check(
            max(self.scale, self.max_size) <= LARGEST_SIDE,
            f"scale and max_size are {LARGEST_SIDE} pixels at most",
        )
        check(self.max_size >= self.scale, f"max_size {self.max_size} is under scale {self.scale}")
        check_choice(self.channels, Channels, "channels")
        check_positive(self.divisor, "divisor")
        for values in (self.mean, self.std):
            check(
                len(values) == 3 and all(map(math.isfinite, values)),
                f"mean and std need three finite numbers each, not {values}",
            )
        check_positive(min(self.std), "the smallest std")

    def at_scale(self, scale: int | None) -> Preprocessing:
        """The same with another scale, max_size in proportion; unchanged for None."""
        if scale is None:
            return self
        return replace(self, scale=scale, max_size=round(scale * self.max_size / self.scale))

    def with_pixels_of(self, other: Preprocessing) -> Preprocessing:
        """The same sizes, with pixels prepared as `other` does."""
        return replace(other, scale=self.scale, max_size=self.max_size)


@dataclass(frozen=True)
class Architecture:
    """Everything that rebuilds a network's modules before its weights are read.

    classes: names of labels 1..K. hidden: outputs of fc6 and fc7. ranks: layer name -> rank,
    for layers replaced by truncated SVD. pretrained: whether the feature layers come from
    ImageNet, so that the first of them are frozen.
    classifier: what the class scores are at test, probabilities of a softmax or the scores of
    one SVM a class on fc7 (paper, section 5.4). box_regression: whether the network moves its
    boxes; without, a detection is its proposal (paper, section 5.1).
    """

    backbone: str
    classes: tuple[str, ...]
    hidden: tuple[int, int]
    preprocessing: Preprocessing
    box_coding: BoxCoding = "inclusive"
    ranks: dict[str, int] = field(default_factory=dict)
    pretrained: bool = True
    classifier: Classifier = "softmax"
    box_regression: bool = True

    def __post_init__(self) -> None:
        check(len(self.classes) > 0, "a detector needs at least one class")
        check(len(set(self.classes)) == len(self.classes), "two classes have the same name")
        check(
            len(self.hidden) == 2 and min(self.hidden) > 0,
            f"fc6 and fc7 need a positive size each, not {self.hidden}",
        )
        check(
            max(self.hidden) <= _LARGEST_LAYER,
            f"fc6 and fc7 have {_LARGEST_LAYER:,} outputs at most",
        )
        check_choice(self.box_coding, BoxCoding, "box coding")
        check_choice(self.classifier, Classifier, "the classifier")
