"""How a network is trained (paper, section 2.3, and what section 5 compares)."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from frcnn_cli.engine.settings.checks import (
    check,
    check_choice,
    check_least,
    check_positive,
    check_scales,
)
from frcnn_cli.engine.settings.detection import PrecisionChoice
from frcnn_cli.engine.settings.network import Classifier

Strategy = Literal["hierarchical", "roi-centric"]
BoxTraining = Literal["multi-task", "stagewise", "none"]
Frozen = Literal["default", "features", "none"]
Optimizer = Literal["sgd", "adamw"]


@dataclass(frozen=True)
class Sampling:
    """How a mini-batch is drawn (paper, section 2.3): R = 128 RoIs from N = 2 images.

    strategy: hierarchical takes rois_per_image RoIs from each of `images` images; roi-centric
    takes as many RoIs in all, each from an image of its own, as R-CNN and SPPnet do.
    scales: lengths of the shorter side, of which each image draws one (section 5.2: 480, 576,
    688, 864, 1200); empty takes the preprocessing's. Its max_size caps the longer side of all.
    background_iou: best IoU of the background, lower end included, upper end not.
    """

    images: int = 2
    rois_per_image: int = 64
    foreground_fraction: float = 0.25
    foreground_iou: float = 0.5
    background_iou: tuple[float, float] = (0.1, 0.5)
    flip: bool = True
    strategy: Strategy = "hierarchical"
    scales: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        check(self.images >= 1 and self.rois_per_image >= 1, "a batch needs an image and an RoI")
        check(0 <= self.foreground_fraction <= 1, "the foreground fraction lies in 0..1")
        check(0 < self.foreground_iou <= 1, "the foreground IoU lies in 0..1")
        low, high = self.background_iou
        check(
            0 <= low < high <= self.foreground_iou,
            f"the background's IoU range {low}..{high} must be increasing and stay under "
            f"the foreground's {self.foreground_iou}",
        )
        check_choice(self.strategy, Strategy, "the sampling strategy")
        check_scales(self.scales, "the scales of training")


@dataclass(frozen=True)
class Schedule:
    """The optimizer and its learning rate: constant, then times `gamma` for the last part.

    iterations: the paper's 30,000 and 10,000. step_at: the fraction of them after which the
    rate falls. warmup: iterations over which it rises linearly from a tenth of itself.
    optimizer: sgd is the paper's. adamw (Loshchilov and Hutter, 2019) has `momentum` as its
    beta1 and 0.999 as beta2; its weight decay is times the learning rate alone.
    """

    iterations: int = 40_000
    optimizer: Optimizer = "sgd"
    learning_rate: float = 0.001
    step_at: float = 0.75
    gamma: float = 0.1
    warmup: int = 0
    momentum: float = 0.9
    weight_decay: float = 0.0005

    def __post_init__(self) -> None:
        check(self.iterations >= 1, "training needs at least one iteration")
        check_choice(self.optimizer, Optimizer, "the optimizer")
        check_positive(self.learning_rate, "the learning rate")
        check(0 < self.step_at <= 1, "step_at is a fraction of the iterations, in 0..1")
        check_positive(self.gamma, "gamma")
        check(self.warmup >= 0, f"warmup is {self.warmup} iterations; it cannot be negative")
        check(0 <= self.momentum < 1, f"momentum is {self.momentum}; it lies in 0..1")
        check(0 <= self.weight_decay < 1, f"weight_decay is {self.weight_decay}; it lies in 0..1")

    def rate_at(self, iteration: int) -> float:
        """The learning rate of one iteration, counted from 0."""
        rate = self.learning_rate
        if iteration < self.warmup:
            rate *= 0.1 + 0.9 * iteration / self.warmup
        if iteration >= self.step_at * self.iterations:
            rate *= self.gamma
        return rate


@dataclass(frozen=True)
class SvmSettings:
    """One linear SVM a class on fc7, trained as R-CNN does (paper, section 5.4).

    Positives are the ground-truth boxes, negatives the proposals whose IoU with every object
    of the class is under negative_iou. c: weight of the hinge losses against the squared norm
    of the weights; those of positives count positive_weight times. feature_norm: what features
    are scaled to have as their mean norm. bias_feature: value of the feature that carries the
    bias. passes: over the images, to mine hard negatives. retrain_after: so many new ones.
    iterations: of the solver, each time it fits. All defaults are R-CNN's.
    """

    c: float = 0.001
    positive_weight: float = 2.0
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
            f"the SVMs' negative_iou is {self.negative_iou}; it lies in 0..1",
        )
        for name in ("passes", "retrain_after", "iterations"):
            check_least(getattr(self, name), 1, f"the SVMs' {name}")


@dataclass(frozen=True)
class TrainSettings:
    """One training run. proposals: at most so many a training image.

    box_training: multi-task learns classes and boxes together, with box_weight the paper's
    lambda; stagewise runs the whole schedule for everything but the box layer, then once more
    for the box layer alone; none learns no boxes (section 5.1).
    frozen: default leaves the layers fixed that the backbone names; features fixes all
    convolutions that ImageNet gave, as SPPnet does (section 4.5); none trains everything.
    classifier: svm fits `svm` on fc7 after training, to score at test in place of the softmax.
    checkpoint_every and eval_every count iterations; eval_every 0 never evaluates.
    precision: of the forward and the backward pass; bfloat16 leaves weights, momenta and the
    loss in float32; auto is replaced by one of the two when the run begins.
    compile: compile the feature layers by torch.compile.
    workers: processes that prepare batches; neither they nor the checkpoints change the result.
    """

    sampling: Sampling = field(default_factory=Sampling)
    schedule: Schedule = field(default_factory=Schedule)
    svm: SvmSettings = field(default_factory=SvmSettings)
    box_training: BoxTraining = "multi-task"
    box_weight: float = 1.0
    frozen: Frozen = "default"
    classifier: Classifier = "softmax"
    seed: int = 0
    proposals: int = 2000
    workers: int = 1
    checkpoint_every: int = 500
    eval_every: int = 0
    precision: PrecisionChoice = "float32"
    compile: bool = False

    def __post_init__(self) -> None:
        check_choice(self.box_training, BoxTraining, "box_training")
        check_positive(self.box_weight, "box_weight")
        check(
            self.box_training != "none" or self.box_weight == 1.0,
            "box_weight does nothing where box_training is 'none'",
        )
        check_choice(self.frozen, Frozen, "frozen")
        check_choice(self.classifier, Classifier, "the classifier")
        check(
            self.classifier == "svm" or self.svm == SvmSettings(),
            "settings of svm do nothing unless classifier is 'svm'",
        )
        check(0 <= self.seed < 2**63, f"the seed is {self.seed}; it lies in 0..2^63 - 1")
        check(self.proposals >= 1, "training needs at least one proposal an image")
        check_choice(self.precision, PrecisionChoice, "the precision of training")
        check(self.checkpoint_every >= 1, "checkpoints are written every 1 iterations or more")
        check(self.eval_every >= 0, "eval_every is a number of iterations; 0 never evaluates")
        check(self.workers >= 0, "the number of workers cannot be negative")

    @property
    def iterations(self) -> int:
        """Of the whole run: the schedule's, twice where a second stage follows the first."""
        return self.schedule.iterations * (2 if self.box_training == "stagewise" else 1)
