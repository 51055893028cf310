"""The complete setting of one training run: model, initial weights, data, schedule."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from frcnn_cli.engine.settings.checks import check
from frcnn_cli.engine.settings.detection import DetectSettings
from frcnn_cli.engine.settings.network import Preprocessing
from frcnn_cli.engine.settings.training import TrainSettings


@dataclass(frozen=True)
class DataSettings:
    """What is trained on, as `frcnn_cli.engine.datasets.find.find_dataset` takes it.

    dataset: a name, a path, or several joined with '+'. split: empty takes its default.
    root: folder in which datasets are looked for; empty takes $FRCNN_DATA, then ./data.
    """

    dataset: str = ""
    split: str = ""
    root: str = ""

    @property
    def folder(self) -> Path | None:
        """`root`; None where it is empty."""
        return Path(self.root) if self.root else None


@dataclass(frozen=True)
class ProposalSettings:
    """Where proposals come from.

    file: one that holds them; empty has `source` compute them, kept in the cache. Two sources
    joined with '+' give the boxes of both. allow_mismatch: go on where the file and the data
    set do not match, with the images that both have.
    """

    source: str = "selective-search"
    file: str = ""
    allow_mismatch: bool = False


@dataclass(frozen=True)
class Experiment:
    """The complete setting of a run; two runs of the same experiment end with the same weights.

    weights: `imagenet`, `none`, or a file of the backbone's ImageNet weights. init: a detector
    to start from in their place. detect: how the model is tested, stored with it.
    """

    backbone: str = "efficientnet_lite2"
    weights: str = "imagenet"
    init: str = ""
    data: DataSettings = field(default_factory=DataSettings)
    proposals: ProposalSettings = field(default_factory=ProposalSettings)
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    train: TrainSettings = field(default_factory=TrainSettings)
    detect: DetectSettings = field(default_factory=DetectSettings)

    def __post_init__(self) -> None:
        check(
            not self.init or self.weights == "imagenet",
            "init starts from a detector's own weights; leave weights out",
        )
        for what, scales in (("training", self.train.sampling.scales),
                             ("detection", self.detect.scales)):  # fmt: skip
            largest = max(scales, default=0)
            check(
                largest <= self.preprocessing.max_size,
                f"scale {largest} of {what} is over preprocessing.max_size "
                f"{self.preprocessing.max_size}, the most that the longer side may have",
            )
