"""Open a model for use: on its device, with its origin and precision."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from frcnn_cli.engine.distributed.connect import connected, own_device
from frcnn_cli.engine.distributed.devices import choose_precision
from frcnn_cli.engine.distributed.team import Team, team_from_environment
from frcnn_cli.engine.models.provenance import stored_experiment
from frcnn_cli.engine.models.shipped.table import display_name, shipped_name
from frcnn_cli.engine.models.store import MODEL_FILE, find_model, load_model, note_model
from frcnn_cli.engine.network.backbones.find import find_defaults
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.reporter import SILENT, Reporter
from frcnn_cli.engine.settings import Experiment, Precision, PrecisionChoice


@dataclass(frozen=True)
class LoadedModel:
    """A model on its device, its file, and its origin as stored in the file.

    experiment: the stored settings of its training, and defaults for settings that are not stored.
    precision: of detection.
    """

    model: FastRCNN
    path: Path
    origin: dict[str, Any]
    experiment: Experiment
    precision: Precision = "float32"

    @property
    def name(self) -> str:
        """What messages call the model: its path, or the name of a shipped model."""
        return display_name(self.path)

    @property
    def short_name(self) -> str:
        """The name of the run or file without its path, for pages that are sent to others."""
        path = self.path.resolve()
        own = path.parent.name if path.name == MODEL_FILE else f"{path.parent.name}/{path.stem}"
        return shipped_name(path) or own

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names; label i is classes[i - 1]."""
        return self.model.architecture.classes

    @property
    def is_detector(self) -> bool:
        """Whether its sibling layers are trained."""
        return True

    def digest(self) -> str:
        """SHA-256 of the model file."""
        with open(self.path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


def open_model(
    given: Path | None,
    runs_root: Path,
    device: torch.device,
    precision: PrecisionChoice = "auto",
    reporter: Reporter = SILENT,
) -> LoadedModel:
    """Open the given model (see find_model) with its precision for detection; reports both.

    precision: `auto` takes the model's own setting, which is float32 for the paper's presets and
    for models of older versions. If that is `auto` too, it depends on the device. Raises
    MisuseError if bfloat16 is requested by name, here or in the model's setting, and `device` would
    emulate it.
    """
    path = find_model(given, runs_root)
    model, origin = load_model(path)
    experiment = stored_experiment(origin, model.architecture, path)
    where = "--precision bfloat16"
    if precision == "auto":
        precision, where = experiment.detect.precision, f"{path}: its detect.precision is bfloat16"
    measured = find_defaults(model.architecture.backbone).bfloat16
    chosen = choose_precision(precision, device, measured, where)
    more = ", in bfloat16" if chosen == "bfloat16" else ""
    note_model(reporter, path, given, runs_root, more)
    return LoadedModel(model.to(device), path, origin, experiment, chosen)


@contextmanager
def model_in_team(
    given: Path | None,
    runs_root: Path,
    device: str,
    precision: PrecisionChoice = "auto",
    reporter: Reporter = SILENT,
) -> Iterator[tuple[LoadedModel, Team]]:
    """Run `open_model` in all processes of torchrun, which stay connected within the block.

    device: a name as in torch, or `auto`. Without torchrun, the team has one process.
    """
    team = team_from_environment()
    with connected(team, device):
        loaded = open_model(given, runs_root, own_device(team, device), precision, reporter)
        yield loaded, team
