"""Settings of training (paper, sections 2.3 and 5)."""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import Literal

from frcnn_cli.engine.settings.checks import (
    check,
    check_choice,
    check_least,
    check_positive,
    check_scales,
    check_share,
)
from frcnn_cli.engine.settings.detection import PrecisionChoice
from frcnn_cli.engine.settings.network import Classifier
from frcnn_cli.engine.settings.svm import SvmSettings
from frcnn_cli.engine.settings.weak import WEAK, WeakSettings

Strategy = Literal["hierarchical", "roi-centric"]
BoxTraining = Literal["multi-task", "stagewise", "none"]
Frozen = Literal["default", "features", "none"]
Optimizer = Literal["sgd", "adamw"]
Decay = Literal["step", "cosine"]


# Minimum IoU of a foreground RoI of the second head, as in the second stage of Cascade R-CNN.
CASCADE_IOU = 0.6
RANKED_ROIS = 256  # per image, for the ranker
_FEWEST_ITERATIONS = 500  # of a schedule that is shortened for a small dataset


@dataclass(frozen=True)
class Sampling:
    """Sampling of a mini-batch (paper, section 2.3): R = 128 RoIs from N = 2 images.

    strategy: hierarchical samples rois_per_image RoIs from each of `images` images; roi-centric
    samples the same total number of RoIs, each from a different image, as R-CNN and SPPnet do.
    scales: lengths of the shorter side, of which one is drawn per image (section 5.2: 480, 576,
    688, 864, 1200); empty uses the scale of preprocessing. The max_size of preprocessing limits
    the longer side in both cases.
    foreground_iou: minimum IoU of a foreground RoI with an object. background_iou: range of the
    maximum IoU of a background RoI; the lower end is included, the upper is not.
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
        check(
            self.images >= 1 and self.rois_per_image >= 1,
            "a mini-batch requires at least one image and one RoI",
        )
        check_share(self.foreground_fraction, "the foreground fraction")
        check(
            0 < self.foreground_iou <= 1,
            f"the foreground IoU is {self.foreground_iou}; it must be above 0 and at most 1",
        )
        low, high = self.background_iou
        check(
            0 <= low < high <= self.foreground_iou,
            f"the background IoU range {low}..{high} must be increasing and not exceed "
            f"the foreground IoU {self.foreground_iou}",
        )
        check_choice(self.strategy, Strategy, "the sampling strategy")
        check_scales(self.scales, "the scales of training")

    @property
    def images_per_iteration(self) -> int:
        """Images of a mini-batch; each RoI has its own with roi-centric sampling."""
        return self.images * (1 if self.strategy == "hierarchical" else self.rois_per_image)


# What is left of the learning rate at the end of a cosine schedule.
_COSINE_END = 0.01


@dataclass(frozen=True)
class Schedule:
    """The optimizer and its learning rate.

    iterations: 40,000, as in the paper (30,000 and 10,000). decay: step multiplies the learning
    rate by `gamma` after the fraction `step_at` of the iterations, as in the paper; cosine
    decreases it along half a cosine (Loshchilov and Hutter, 2017) to a hundredth, and ignores
    the two. warmup: iterations over which the learning rate increases linearly from a tenth of
    its value.
    epochs: if above 0, passes over the training images, which replace iterations when the run
    starts. shorten_below: for fewer training images than this, iterations decrease with the square
    root of their number when the run starts; 0 never shortens. Both are 0 in a run's own settings.
    optimizer: sgd, as in the paper, or adamw (Loshchilov and Hutter, 2019) with `momentum` as
    beta1 and 0.999 as beta2; its weight decay is multiplied by the learning rate only.
    """

    iterations: int = 40_000
    optimizer: Optimizer = "sgd"
    learning_rate: float = 0.001
    decay: Decay = "step"
    step_at: float = 0.75
    gamma: float = 0.1
    warmup: int = 0
    momentum: float = 0.9
    weight_decay: float = 0.0005
    epochs: float = 0.0
    shorten_below: int = 0

    def __post_init__(self) -> None:
        check(self.iterations >= 1, "training requires at least one iteration")
        check(0 <= self.epochs < math.inf, f"epochs is {self.epochs}; it cannot be negative")
        check_least(self.shorten_below, 0, "shorten_below")
        check_choice(self.optimizer, Optimizer, "the optimizer")
        check_positive(self.learning_rate, "the learning rate")
        check_choice(self.decay, Decay, "the decay of the learning rate")
        check(
            0 < self.step_at <= 1,
            f"step_at is {self.step_at}; it must be a fraction of the iterations, "
            "above 0 and at most 1",
        )
        check_positive(self.gamma, "gamma")
        check(self.warmup >= 0, f"warmup is {self.warmup}; it cannot be negative")
        check(
            0 <= self.momentum < 1,
            f"momentum is {self.momentum}; it must be at least 0 and below 1",
        )
        check(
            0 <= self.weight_decay < 1,
            f"weight_decay is {self.weight_decay}; it must be at least 0 and below 1",
        )

    def for_images(self, images: int, per_iteration: int) -> Schedule:
        """The schedule for this number of training images, with its iterations as a number.

        per_iteration: images of a mini-batch. The warm-up of a schedule in epochs is at most a
        tenth of it.
        """
        iterations, warmup = self.iterations, self.warmup
        if self.epochs:
            iterations = max(1, round(self.epochs * math.ceil(images / per_iteration)))
            warmup = min(warmup, iterations // 10)
        elif images < self.shorten_below:
            shortened = iterations * math.sqrt(images / self.shorten_below)
            iterations = min(iterations, max(_FEWEST_ITERATIONS, 100 * round(shortened / 100)))
        return replace(self, iterations=iterations, warmup=warmup, epochs=0.0, shorten_below=0)

    def rate_at(self, iteration: int) -> float:
        """Return the learning rate of an iteration, counted from 0."""
        rate = self.learning_rate
        if iteration < self.warmup:
            rate *= 0.1 + 0.9 * iteration / self.warmup
        if self.decay == "cosine":
            half_cosine = (1 + math.cos(math.pi * iteration / self.iterations)) / 2
            return rate * (_COSINE_END + (1 - _COSINE_END) * half_cosine)
        if iteration >= self.step_at * self.iterations:
            rate *= self.gamma
        return rate


@dataclass(frozen=True)
class TrainSettings:
    """Settings of one training run.

    proposals: maximum number of proposals per training image.
    box_training: multi-task trains classes and boxes together, with box_weight as the paper's
    lambda; stagewise runs the whole schedule for everything except the box layer, then again for
    the box layer only; none trains no boxes (section 5.1).
    cascade_iou: if greater than 0, a second head is trained on the boxes of the first; its
    foreground has at least this IoU with an object. ranked_rois: if greater than 0, a ranker of
    proposals is trained on this many RoIs per image.
    averaging: if greater than 0, validation and the final model use an exponential moving average
    of the weights, which keeps this fraction of itself per iteration.
    frozen: default freezes the layers that the backbone defines; features freezes all pretrained
    convolutions, as SPPnet does (section 4.5); none trains everything.
    classifier: svm fits SVMs on fc7 after training, which replace the softmax at test time; wsddn
    and oicr train from image labels, on all given proposals of each image.
    checkpoint_every, eval_every: intervals in iterations; eval_every 0 turns evaluation off.
    precision: of the forward and backward pass; with bfloat16, weights, momenta and the loss
    stay in float32; auto is replaced by one of the two when the run starts.
    compile: compile the feature layers with torch.compile.
    workers: processes that prepare batches. Workers and checkpoints do not change the result.
    """

    sampling: Sampling = field(default_factory=Sampling)
    schedule: Schedule = field(default_factory=Schedule)
    svm: SvmSettings = field(default_factory=SvmSettings)
    weak: WeakSettings = field(default_factory=WeakSettings)
    box_training: BoxTraining = "multi-task"
    box_weight: float = 1.0
    cascade_iou: float = 0.0
    ranked_rois: int = 0
    averaging: float = 0.0
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
            "box_weight has no effect if box_training is 'none'",
        )
        check(
            0 <= self.cascade_iou < 1,
            f"the second head's cascade_iou is {self.cascade_iou:g}; it must be at least 0 and "
            "less than 1",
        )
        for name, value, expected in (
            ("box_training", self.box_training, "multi-task"),
            ("classifier", self.classifier, "softmax"),
        ):
            check(
                self.cascade_iou == 0 or value == expected,
                f"the second head of the cascade requires {name} '{expected}', not '{value}'; "
                "cascade_iou 0 turns it off",
            )
        check_least(self.ranked_rois, 0, "ranked_rois")
        check(
            0 <= self.averaging < 1,
            f"averaging is {self.averaging:g}; it must be at least 0 and less than 1",
        )
        check(
            self.averaging == 0 or self.box_training != "stagewise",
            "averaging of weights requires one stage of training, not box_training 'stagewise'; "
            "averaging 0 turns it off",
        )
        check_choice(self.frozen, Frozen, "frozen")
        check_choice(self.classifier, Classifier, "the classifier")
        check(
            self.classifier == "svm" or self.svm == SvmSettings(),
            "settings of svm have no effect unless classifier is 'svm'",
        )
        check(
            self.is_weak or self.weak == WeakSettings(),
            "settings of weak have no effect unless classifier is 'wsddn' or 'oicr'",
        )
        check(
            not self.is_weak or (self.box_training == "none" and self.ranked_rois == 0),
            f"classifier '{self.classifier}' requires box_training 'none' and ranked_rois 0",
        )
        check(
            not self.is_weak or self.sampling.strategy == "hierarchical",
            f"classifier '{self.classifier}', which takes all proposals of an image, requires "
            "sampling.strategy 'hierarchical'",
        )
        check(0 <= self.seed < 2**63, f"the seed is {self.seed}; it must be in 0..2^63 - 1")
        check(self.proposals >= 1, "training requires at least one proposal per image")
        check_choice(self.precision, PrecisionChoice, "the precision of training")
        check_least(self.checkpoint_every, 1, "checkpoint_every")
        check_least(self.eval_every, 0, "eval_every")
        check_least(self.workers, 0, "workers")

    @property
    def is_weak(self) -> bool:
        """Whether training uses image labels instead of boxes."""
        return self.classifier in WEAK

    @property
    def refinements(self) -> int:
        """The number of refined classifiers of the network; 0 without OICR."""
        return self.weak.refinements if self.classifier == "oicr" else 0

    @property
    def iterations(self) -> int:
        """Iterations of the whole run: twice the schedule for stagewise training."""
        return self.schedule.iterations * (2 if self.box_training == "stagewise" else 1)
