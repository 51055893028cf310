"""How images are detected in."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from frcnn_cli.engine.settings.checks import check, check_choice, check_scales

Precision = Literal["float32", "bfloat16"]
# auto: `choose_precision` of distributed/devices chooses for the device.
PrecisionChoice = Literal["auto", "float32", "bfloat16"]


@dataclass(frozen=True)
class DetectSettings:
    """The test procedure (paper, section 3, and the first implementation).

    score_threshold: lowest score that is kept, a probability or, of SVMs, a margin, which can
    be negative; None keeps all.
    A box is dropped by non-maximum suppression if its IoU with a kept one of its class is
    over nms_iou. max_per_class: boxes a class and image by score, before suppression.
    proposals: at most so many an image.
    box_regression: False leaves every detection on its proposal (paper, section 5.1).
    scales: each RoI is read at the scale at which its area is nearest to roi_side squared
    (paper, section 5.2; its five are 480, 576, 688, 864 and 1200, capped at 2000 by the
    preprocessing's max_size); empty takes the preprocessing's one scale for all.
    box_voting: over 0, a detection's box becomes the mean, weighted by score, of those boxes of
    its class whose IoU with it is at least this (Gidaris and Komodakis, ICCV 2015); 0 leaves it
    where regression put it, as the paper does. Boxes that are not regressed do not vote.
    flip: the image is also read mirrored left to right, and each RoI's scores and boxes are
    the means of both.
    precision: of the convolutions, RoI pooling, fc6 and fc7; the rest is always float32.
    """

    score_threshold: float | None = 0.5
    nms_iou: float = 0.3
    max_per_class: int = 100
    top_k: int = 100
    proposals: int = 2000
    box_regression: bool = True
    scales: tuple[int, ...] = ()
    roi_side: int = 224
    box_voting: float = 0.0
    flip: bool = False
    precision: PrecisionChoice = "float32"

    def __post_init__(self) -> None:
        check(
            self.score_threshold is None or math.isfinite(self.score_threshold),
            "the score threshold is a number",
        )
        check(0 <= self.nms_iou <= 1, "the IoU of suppression lies in 0..1")
        check(0 <= self.box_voting <= 1, "the IoU of box voting lies in 0..1")
        check(self.top_k >= 1 and self.max_per_class >= 1, "keep at least one detection")
        check(self.proposals >= 1, "detection needs at least one proposal")
        check_scales(self.scales, "the scales of detection")
        check(self.roi_side >= 1, f"roi_side is {self.roi_side} pixels; it must be 1 or more")
        check_choice(self.precision, PrecisionChoice, "the precision of detection")
