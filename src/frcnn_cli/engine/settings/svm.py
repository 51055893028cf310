"""Settings of the SVMs (paper, section 5.4)."""

from __future__ import annotations

from dataclasses import dataclass

from frcnn_cli.engine.settings.checks import check, check_least, check_positive

# Objects per class of VOC2007 trainval (12,608 of 20 classes), for which R-CNN's constants were
# chosen.
SVM_OBJECTS = 630


@dataclass(frozen=True)
class SvmSettings:
    """One linear SVM per class on fc7, trained as in R-CNN (paper, section 5.4).

    Positives are the ground-truth boxes; negatives are the proposals whose IoU with every object
    of the class is less than negative_iou. c: weight of the hinge losses relative to the squared
    norm of the weights. positive_weight: factor for the losses of positives. objects: positives of
    a class with fewer objects have a larger factor, so that they count as much as this many; 0
    turns it off. feature_norm: mean norm to which features are scaled. bias_feature: value of the
    constant feature for the bias.
    passes: passes over the images to mine hard negatives. retrain_after: number of new hard
    negatives after which an SVM is fitted again. iterations: iterations of the solver per fit.
    All defaults are those of R-CNN, which were chosen for SVM_OBJECTS objects per class.
    """

    c: float = 0.001
    positive_weight: float = 2.0
    objects: int = 0
    negative_iou: float = 0.3
    feature_norm: float = 20.0
    bias_feature: float = 10.0
    passes: int = 1
    retrain_after: int = 2000
    iterations: int = 1000

    def __post_init__(self) -> None:
        for name in ("c", "positive_weight", "feature_norm", "bias_feature"):
            check_positive(getattr(self, name), f"the SVMs' {name}")
        check(
            0 < self.negative_iou <= 1,
            f"the SVMs' negative_iou is {self.negative_iou}; it must be above 0 and at most 1",
        )
        for name in ("passes", "retrain_after", "iterations"):
            check_least(getattr(self, name), 1, f"the SVMs' {name}")
        check_least(self.objects, 0, "the SVMs' objects")

    def weight_of(self, positives: int) -> float:
        """The factor for the losses of a class with this many positives, at least 1."""
        return self.positive_weight * max(1.0, self.objects / positives)
