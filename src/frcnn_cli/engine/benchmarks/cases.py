"""Cases of the benchmarks by name; imports no torch, so that --help is quick."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from frcnn_cli.engine.settings import Classifier, Precision
    from frcnn_proposals.sources.selective_search import Mode


@dataclass(frozen=True)
class DetectionCase:
    """One case of detection. ranks: of fc6 and fc7. made: the time includes the proposals."""

    name: str
    backbone: str
    made: bool
    ranks: tuple[int, int] | None = None
    precision: Precision = "float32"


DETECTION_CASES = (
    DetectionCase("vgg16-given", "vgg16", made=False),
    DetectionCase("vgg16-made", "vgg16", made=True),
    DetectionCase("vgg16-svd-given", "vgg16", made=False, ranks=(1024, 256)),
    DetectionCase("vgg16-svd-made", "vgg16", made=True, ranks=(1024, 256)),
    DetectionCase("lite-given", "efficientnet_lite0", made=False),
    DetectionCase("lite-made", "efficientnet_lite0", made=True),
    DetectionCase("lite-bfloat16-given", "efficientnet_lite2", made=False, precision="bfloat16"),
    DetectionCase("vgg16-bfloat16-given", "vgg16", made=False, precision="bfloat16"),
)


@dataclass(frozen=True)
class VideoCase:
    """One case of detection in a video.

    scale: of the network; None is the model's own. max_proposals: for models that select RoIs.
    """

    name: str
    source: str
    scale: int | None = None
    max_proposals: int | None = None

    @property
    def precision(self) -> Precision:
        """No case is skipped: the precision of the model is chosen for the machine."""
        return "float32"


VIDEO_CASES = (
    VideoCase("searched", "selective-search"),
    VideoCase("tracked", "tracked"),
    VideoCase("searched-small", "selective-search", 400, 150),
    VideoCase("tracked-small", "tracked", 400, 150),
)


@dataclass(frozen=True)
class TrainingCase:
    """One case of training. precision: of our step; the baseline always computes in float32."""

    name: str
    preset: str
    precision: Precision
    scale: int | None = None
    backbone: str | None = None


TRAINING_CASES = (
    TrainingCase("lite", "lite", "float32", backbone="efficientnet_lite0"),
    TrainingCase("paper-l", "paper-l", "float32"),
    TrainingCase("paper-l-bfloat16", "paper-l", "bfloat16"),
)


@dataclass(frozen=True)
class StepOption:
    """One way to compute a training step.

    frozen: whether the first layers are frozen. classifier: wsddn and oicr train from image labels,
    on all proposals instead of sampled RoIs.
    """

    name: str
    channels_last: bool = True
    frozen: bool = True
    precision: Precision = "float32"
    compile: bool = False
    classifier: Classifier = "softmax"


# `frcnn train` uses the first; the others are compared with it.
STEP_OPTIONS = (
    StepOption("usual"),
    StepOption("channels-first", channels_last=False),
    StepOption("nothing-frozen", frozen=False),
    StepOption("bfloat16", precision="bfloat16"),
    StepOption("compiled", compile=True),
    StepOption("wsddn", classifier="wsddn"),
    StepOption("oicr", classifier="oicr"),
)

# Mean proposals per image of the two strategies in the selective search paper (table 7).
LIST_LENGTHS: Mapping[Mode, int] = {"fast": 2147, "quality": 10108}
