"""Settings of detection."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, Self

from frcnn_cli.engine.settings.checks import (
    LARGEST_SIDE,
    check,
    check_choice,
    check_least,
    check_scales,
    check_share,
)

Precision = Literal["float32", "bfloat16"]
# auto: `choose_precision` in distributed/devices chooses for the device.
PrecisionChoice = Literal["auto", "float32", "bfloat16"]

MOST_OVERLAP = 0.9  # of tiles: a higher one would mean a hundred times the work, or more


@dataclass(frozen=True)
class DetectSettings:
    """The test procedure (paper, section 3, and the first implementation).

    score_threshold: minimum score, a probability, or for SVMs a margin, which can be negative;
    None keeps all detections.
    nms_iou: non-maximum suppression removes a box if its IoU with a better box of its class is
    greater than this. max_per_class: maximum number of boxes per class and image, by score,
    before suppression. top_k: maximum number of detections per image.
    proposals: maximum number of proposals per image.
    max_proposals: for a model with a ranker, the number of best proposals that its heads process;
    for one with a second head, the number of best RoIs that the second head processes. It has no
    effect on other models.
    box_regression: False keeps the box of each detection's proposal (paper, section 5.1).
    scales: each RoI is processed at the scale at which its area is closest to roi_side squared
    (paper, section 5.2; its five scales are 480, 576, 688, 864 and 1200, with a max_size of 2000
    in preprocessing). Empty: the single scale of preprocessing.
    box_voting: if greater than 0, a detection's box becomes the mean, weighted by score, of the
    boxes of its class whose IoU with it is at least this (Gidaris and Komodakis, ICCV 2015). 0
    turns it off, as in the paper. It has no effect without box regression.
    flip: also process the mirrored image, and average scores and boxes of each RoI.
    precision: of the convolutions, RoI pooling, fc6 and fc7; the rest is always float32.
    """

    score_threshold: float | None = 0.5
    nms_iou: float = 0.3
    max_per_class: int = 100
    top_k: int = 100
    proposals: int = 2000
    max_proposals: int = 300
    box_regression: bool = True
    scales: tuple[int, ...] = ()
    roi_side: int = 224
    box_voting: float = 0.0
    flip: bool = False
    precision: PrecisionChoice = "float32"

    def __post_init__(self) -> None:
        check(
            self.score_threshold is None or math.isfinite(self.score_threshold),
            "the score threshold must be a finite number",
        )
        check_share(self.nms_iou, "nms_iou")
        check_share(self.box_voting, "box_voting")
        check_least(self.top_k, 1, "top_k")
        check_least(self.max_per_class, 1, "max_per_class")
        check(self.proposals >= 1, "detection requires at least one proposal per image")
        check_least(self.max_proposals, 1, "max_proposals")
        check_scales(self.scales, "the scales of detection")
        check(self.roi_side >= 1, f"roi_side is {self.roi_side} pixels; it must be at least 1")
        check_choice(self.precision, PrecisionChoice, "the precision of detection")


@dataclass(frozen=True)
class TileSettings:
    """Detection in tiles of an image, besides the whole image.

    size: side of a tile, in pixels. overlap: of neighbouring tiles, at least, as a share of `size`.
    """

    size: int
    overlap: float = 0.2

    def __post_init__(self) -> None:
        check(
            32 <= self.size <= LARGEST_SIDE,
            f"the side of a tile is {self.size} pixels; it must be in 32..{LARGEST_SIDE}",
        )
        check(
            0 <= self.overlap <= MOST_OVERLAP,
            f"the overlap of tiles is {self.overlap:g}; it is a share of their side, in "
            f"0..{MOST_OVERLAP}",
        )

    @classmethod
    def of(cls, size: int | None, overlap: float | None) -> Self | None:
        """The settings with a default for what is None; None without a size."""
        if size is None:
            check(
                overlap is None,
                "an overlap of tiles has no effect without their side: also give --tile SIZE (in "
                "Python: tile)",
            )
            return None
        return cls(size) if overlap is None else cls(size, overlap)

    def divides(self, width: int, height: int) -> bool:
        """Whether an image is larger than a tile. A smaller one is processed as a whole only."""
        return max(width, height) > self.size
