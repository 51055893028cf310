"""A training run, what it says at each step, and what it ends with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch

from frcnn_cli.engine.distributed.team import ALONE, Team
from frcnn_cli.engine.records import Dataset
from frcnn_cli.engine.settings import TrainSettings
from frcnn_cli.engine.settings.fields import nested
from frcnn_cli.engine.training.validation import Validation
from frcnn_proposals.base import Proposals


@dataclass(frozen=True)
class StepReport:
    """One iteration's losses (averages over its RoIs) and learning rate.

    images: how many it took, of all processes. seconds: how long it took, waiting for its data
    included; waiting: that alone. evaluation: the last mAP on val of this sitting.
    """

    iteration: int
    loss: float
    classification: float
    box_regression: float
    learning_rate: float
    images: int
    seconds: float
    waiting: float
    evaluation: float | None = None

    def measured(self) -> dict[str, float]:
        """As a line of METRICS_FILE: what the step itself has shown."""
        return {name: value for name, value in asdict(self).items() if name != "evaluation"}


@dataclass(frozen=True)
class Run:
    """A training run: its folder, what it trains on, how, and where.

    origin: JSON values that say all this to whoever reads the model later.
    validation: what settings.eval_every judges the model on. team: the processes that train
    together, of which the first writes the folder.
    """

    folder: Path
    dataset: Dataset
    proposals: Mapping[str, Proposals]
    settings: TrainSettings = field(default_factory=TrainSettings)
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    origin: dict[str, Any] = field(default_factory=dict)
    validation: Validation | None = None
    team: Team = ALONE

    def description(self) -> dict[str, Any]:
        """What the model says of itself: the whole experiment, or at least the settings."""
        if "experiment" in self.origin:
            return self.origin
        return self.origin | {"settings": nested(self.settings)}


@dataclass(frozen=True)
class Trained:
    """What a run ended with: its model file, and a message for each image it could not read.

    best: mean average precision of the best model on val, which lies beside it in BEST_FILE;
    None where none was evaluated.
    """

    path: Path
    unreadable: tuple[str, ...]
    best: float | None = None
