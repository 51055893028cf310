"""Settings of the features of regions."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from frcnn_cli.engine.settings.checks import check, check_choice, check_least
from frcnn_cli.engine.settings.network import Classifier, usual_threshold
from frcnn_proposals.errors import MisuseError

Layer = Literal["pooled", "fc6", "fc7"]
FeatureType = Literal["float32", "float16"]
BoxChoice = Literal["proposals", "detections"]

# The selection of bottom-up attention (Anderson et al., CVPR 2018): at least 10 and at most 100
# boxes per image, and all with this probability in between.
MIN_BOXES, MAX_BOXES, PROBABILITY = 10, 100, 0.2


@dataclass(frozen=True)
class FeatureOptions:
    """What the user chose; None is the default.

    layer: `pooled` is the map after RoI pooling, fc6 and fc7 are the outputs of these layers after
    ReLU. By default fc7 of a detector, and the pooled map of a network that is not one. dtype: of
    the stored features. boxes: all `proposals`, or the best ones by the detector's class scores,
    `detections`. By default proposals if a file or a source of them is given, or if the network is
    no detector. score_threshold, min_boxes: of detections. max_boxes: by default all proposals, or
    100 detections.
    """

    layer: Layer | None = None
    dtype: FeatureType = "float32"
    boxes: BoxChoice | None = None
    score_threshold: float | None = None
    min_boxes: int | None = None
    max_boxes: int | None = None

    @property
    def reads_fc(self) -> bool:
        """Whether fc6 or fc7 was chosen."""
        return self.layer in ("fc6", "fc7")

    def resolved(
        self, is_detector: bool, classifier: Classifier, proposals_given: bool
    ) -> FeatureSettings:
        """The settings for a network.

        is_detector: whether it scores classes, and classifier: by which scores. proposals_given:
        whether the user named a file or a source of proposals. Raises MisuseError for options
        that exclude each other.
        """
        named = "proposals" if proposals_given or not is_detector else "detections"
        boxes: BoxChoice = self.boxes or named  # type: ignore[assignment]
        check_choice(boxes, BoxChoice, "the choice of boxes")
        if boxes == "detections" and not is_detector:
            raise MisuseError(
                "A backbone has no class scores to select boxes by.\n"
                "Give a model, or extract the features of all proposals."
            )
        if boxes == "proposals":
            given = [n for n in ("score_threshold", "min_boxes") if getattr(self, n) is not None]
            if given:
                raise MisuseError(ineffective(given[0]))
            limits = (0, self.max_boxes)
        else:
            limits = self._limits()
        threshold = self.score_threshold
        if threshold is None:
            threshold = usual_threshold(classifier, PROBABILITY)
        return FeatureSettings(
            self.layer or ("fc7" if is_detector else "pooled"),
            self.dtype,
            boxes,
            threshold,
            *limits,
        )

    def _limits(self) -> tuple[int, int]:
        """The limits of detections; one that is given moves the default of the other."""
        low, high = self.min_boxes, self.max_boxes
        if low is None:
            low = MIN_BOXES if high is None else min(MIN_BOXES, high)
        return low, max(MAX_BOXES, low) if high is None else high


def ineffective(name: str) -> str:
    """The message about an option of detections if all proposals are used."""
    return (
        f"--{name.replace('_', '-')} selects boxes by the detector's scores, but all proposals are "
        "used.\nAdd --boxes detections (in Python: give no boxes, proposals or source)."
    )


@dataclass(frozen=True)
class FeatureSettings:
    """Which features of which boxes to extract; see FeatureOptions.

    min_boxes, max_boxes: limits per image; None for no limit.
    """

    layer: Layer
    dtype: FeatureType = "float32"
    boxes: BoxChoice = "proposals"
    score_threshold: float = PROBABILITY
    min_boxes: int = 0
    max_boxes: int | None = None

    def __post_init__(self) -> None:
        check_choice(self.layer, Layer, "the layer")
        check_choice(self.dtype, FeatureType, "the type of the features")
        check(math.isfinite(self.score_threshold), "the score threshold must be a finite number")
        check_least(self.min_boxes, 0, "min_boxes")
        if self.max_boxes is not None:
            check_least(self.max_boxes, 1, "max_boxes")
            check(
                self.min_boxes <= self.max_boxes,
                f"min_boxes is {self.min_boxes}, more than max_boxes, {self.max_boxes}",
            )
