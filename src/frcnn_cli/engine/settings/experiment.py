"""The complete settings of one training run: model, initial weights, data, schedule."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path

from frcnn_cli.engine.settings.checks import check
from frcnn_cli.engine.settings.detection import DetectSettings
from frcnn_cli.engine.settings.network import Preprocessing
from frcnn_cli.engine.settings.training import TrainSettings


@dataclass(frozen=True)
class DataSettings:
    """The training data, as in `frcnn_cli.engine.datasets.find.find_dataset`.

    dataset: a name, a path, or several joined with '+'. split: empty uses the default split.
    root: folder to search for datasets; empty searches $FRCNN_DATA, then ./data. val_share: part
    of the split's images, chosen by a hash of their ids, that is not trained on but is the run's
    own val split; 0 trains on all of them.
    """

    dataset: str = ""
    split: str = ""
    root: str = ""
    val_share: float = 0.0

    def __post_init__(self) -> None:
        check(
            0 <= self.val_share < 1,
            f"val_share is {self.val_share}; it must be at least 0 and less than 1",
        )

    @property
    def training_split(self) -> str:
        """The images that are trained on, as a split of `find_dataset`."""
        return f"{self.split}:train:{self.val_share}" if self.val_share else self.split

    @property
    def held_out_split(self) -> str | None:
        """The images that are held out, as a split of `find_dataset`."""
        return f"{self.split}:val:{self.val_share}" if self.val_share else None

    @property
    def folder(self) -> Path | None:
        """`root`, or None if it is empty."""
        return Path(self.root) if self.root else None


@dataclass(frozen=True)
class ProposalSettings:
    """The source of proposals.

    file: a proposal file; if empty, `source` computes the proposals, which are cached. Two
    sources joined with '+' provide the proposals of both. parameters: of the source, as NAME=VALUE.
    allow_mismatch: if the file and the dataset do not match, continue with the images that both
    have.
    """

    source: str = "selective-search"
    file: str = ""
    allow_mismatch: bool = False
    parameters: tuple[str, ...] = ()

    @property
    def given(self) -> str:
        """The file, or the source that reads one, `precomputed`; empty if boxes are computed."""
        return self.file or (self.source if "precomputed" in self.source.split("+") else "")

    def with_source(self, source: str | None, parameters: tuple[str, ...]) -> ProposalSettings:
        """These settings with another source; None keeps the source, and changes its parameters."""
        if source is None:
            return replace(self, parameters=(*self.parameters, *parameters))
        return replace(self, source=source, parameters=parameters)


@dataclass(frozen=True)
class Experiment:
    """The complete settings of a run; two runs of the same experiment have the same weights.

    weights: `imagenet`, `none`, or a file of ImageNet weights for the backbone. init: a detector
    to start from instead. detect: detection settings, stored with the model.
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
            "init starts from the weights of a detector; omit weights",
        )
        for use, scales in (("training", self.train.sampling.scales),
                             ("detection", self.detect.scales)):  # fmt: skip
            largest = max(scales, default=0)
            check(
                largest <= self.preprocessing.max_size,
                f"scale {largest} of {use} exceeds preprocessing.max_size "
                f"{self.preprocessing.max_size}, the maximum of the longer side",
            )
