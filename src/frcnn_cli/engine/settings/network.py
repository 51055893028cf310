"""The architecture of a network and its preprocessing; stored with the weights."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Literal

from frcnn_cli.engine.boxes import BoxCoding
from frcnn_cli.engine.settings.checks import LARGEST_SIDE, check, check_choice, check_positive
from frcnn_cli.engine.settings.weak import WEAK, WSDDN_THRESHOLD

Channels = Literal["rgb", "bgr"]
Classifier = Literal["softmax", "svm", "wsddn", "oicr"]
Resize = Literal["uint8", "float32"]
_LARGEST_LAYER = 1 << 31  # outputs; the layers of the paper have 4,096


@dataclass(frozen=True)
class Preprocessing:
    """The preprocessing of images for the network.

    scale: length of the shorter side in pixels, reduced if the longer side would exceed max_size.
    mean and std: per channel, in `channels` order, of pixels divided by `divisor`.
    resize: uint8 resizes to a rounded size, rounds pixels to 8 bits, then normalises; this is the
    value of files that do not have this field. float32 normalises, then resizes by the exact
    factor, as the first Fast R-CNN implementation did.
    """

    scale: int = 600
    max_size: int = 1000
    channels: Channels = "rgb"
    divisor: float = 255.0
    mean: tuple[float, float, float] = (0.485, 0.456, 0.406)
    std: tuple[float, float, float] = (0.229, 0.224, 0.225)
    resize: Resize = "uint8"

    def __post_init__(self) -> None:
        check(self.scale >= 32, f"scale is {self.scale} pixels; it must be at least 32")
        check(
            max(self.scale, self.max_size) <= LARGEST_SIDE,
            f"scale and max_size must be at most {LARGEST_SIDE} pixels",
        )
        check(
            self.max_size >= self.scale, f"max_size {self.max_size} is less than scale {self.scale}"
        )
        check_choice(self.channels, Channels, "channels")
        check_positive(self.divisor, "divisor")
        for values in (self.mean, self.std):
            check(
                len(values) == 3 and all(map(math.isfinite, values)),
                f"mean and std must be three finite numbers each, not {values}",
            )
        check_positive(min(self.std), "the smallest std")
        check_choice(self.resize, Resize, "resize")

    def at_scale(self, scale: int | None) -> Preprocessing:
        """Return the same with another scale and proportional max_size; unchanged for None."""
        if scale is None:
            return self
        return replace(self, scale=scale, max_size=round(scale * self.max_size / self.scale))

    def with_pixels_of(self, other: Preprocessing) -> Preprocessing:
        """Return the same resizing with the pixel values of `other`.

        These are channels, divisor, mean and std.
        """
        return replace(other, scale=self.scale, max_size=self.max_size, resize=self.resize)


def usual_threshold(classifier: Classifier, probability: float = 0.5) -> float:
    """The default minimum score of a detection: a margin of 0 for SVMs, WSDDN_THRESHOLD for WSDDN.

    probability: that of all other classifiers.
    """
    return {"svm": 0.0, "wsddn": WSDDN_THRESHOLD}.get(classifier, probability)


SECOND = "second."  # before the names of the second head's layers, also in Architecture.ranks


@dataclass(frozen=True)
class Architecture:
    """The description of a network, from which its modules are built.

    classes: names of labels 1..K. hidden: outputs of fc6 and fc7. ranks: layer name -> rank,
    for layers replaced by truncated SVD. pretrained: whether the feature layers have ImageNet
    weights, in which case the first of them are frozen.
    classifier: class scores at test time are softmax probabilities, scores of one SVM per class on
    fc7 (paper, section 5.4), or those of a network that was trained from image labels (see
    network/layers/weak_head.py), of which oicr has `refinements` refined classifiers. voting:
    whether RoIs vote for the scores of those that overlap them.
    box_regression: whether the network predicts offsets; without them, a detection has the box of
    its proposal (paper, section 5.1). cascade: whether there is a second head, which pools at the
    boxes of the first. ranker: whether there is a layer that orders proposals.
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
    cascade: bool = False
    ranker: bool = False
    refinements: int = 0
    voting: bool = False

    @property
    def is_weak(self) -> bool:
        """Whether the network is trained from image labels."""
        return self.classifier in WEAK

    @property
    def selects_rois(self) -> bool:
        """Whether a ranker or the first head selects RoIs for the following layers."""
        return self.cascade or self.ranker

    @property
    def ranks_of_second(self) -> dict[str, int]:
        """The ranks of the second head's layers, by their names in the head."""
        return {
            name.removeprefix(SECOND): rank
            for name, rank in self.ranks.items()
            if name.startswith(SECOND)
        }

    def __post_init__(self) -> None:
        check(len(self.classes) > 0, "a detector requires at least one class")
        check(len(set(self.classes)) == len(self.classes), "two classes have the same name")
        check(
            len(self.hidden) == 2 and min(self.hidden) > 0,
            f"the sizes of fc6 and fc7 must be two positive integers, not {self.hidden}",
        )
        check(
            max(self.hidden) <= _LARGEST_LAYER,
            f"fc6 and fc7 must have at most {_LARGEST_LAYER:,} outputs",
        )
        check_choice(self.box_coding, BoxCoding, "box coding")
        check_choice(self.classifier, Classifier, "the classifier")
        check(
            not self.cascade or (self.box_regression and self.classifier == "softmax"),
            "a second head requires box regression and a softmax",
        )
        check(
            not self.is_weak or not (self.box_regression or self.selects_rois),
            f"a network with classifier {self.classifier} has neither box regression nor a ranker",
        )
        check(
            (self.refinements > 0) == (self.classifier == "oicr"),
            f"{self.refinements} refinements do not fit the classifier {self.classifier}",
        )
        check(
            self.is_weak or not self.voting,
            "voting requires a network that is trained from image labels",
        )
