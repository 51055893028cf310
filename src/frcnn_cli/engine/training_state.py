"""Everything a training run needs to go on as if it had never stopped."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from frcnn_cli.engine.checkpoint import MALFORMED, load_tensors, read_description, save_tensors
from frcnn_cli.engine.model import FastRCNN, rebuild_model
from frcnn_cli.engine.models import CHECKPOINT_FILE
from frcnn_cli.engine.settings import Sampling, Schedule, SvmSettings, TrainSettings
from frcnn_proposals.errors import InputError, MisuseError


@dataclass(frozen=True)
class Progress:
    """Iterations done, and what the run was started with."""

    iteration: int
    settings: TrainSettings
    origin: dict[str, Any]


def save_checkpoint(
    folder: Path, model: FastRCNN, optimizer: torch.optim.SGD, progress: Progress
) -> None:
    """Write weights, momenta and progress into the run's folder, whole or not at all."""
    tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
    for name, parameter in model.named_parameters():
        buffer = optimizer.state[parameter].get("momentum_buffer")
        if buffer is not None:
            tensors[f"momentum.{name}"] = buffer
    origin = {
        "iteration": progress.iteration,
        "settings": asdict(progress.settings),
        "origin": progress.origin,
    }
    save_tensors(folder / CHECKPOINT_FILE, model.architecture, tensors, origin)


def load_checkpoint(folder: Path) -> tuple[FastRCNN, dict[str, Tensor], Progress]:
    """The model in training, its momenta by parameter name, and the progress.

    Raises InputError where the folder holds no readable checkpoint.
    """
    progress = load_progress(folder)
    path = folder / CHECKPOINT_FILE
    stored = load_tensors(path)
    try:
        model = rebuild_model(stored.architecture, _part(stored.tensors, "model."))
    except (RuntimeError, MisuseError) as error:
        raise InputError(f"{path}: this checkpoint is damaged ({error}).") from error
    return model, _part(stored.tensors, "momentum."), progress


def load_progress(folder: Path) -> Progress:
    """The progress of a run's last checkpoint, without its tensors. Raises InputError likewise."""
    path = folder / CHECKPOINT_FILE
    if not path.is_file():
        raise InputError(f"{folder}: there is no {CHECKPOINT_FILE} in this folder to go on from.")
    stored = read_description(path)["origin"]
    try:
        return Progress(
            int(stored["iteration"]),
            settings_from_json(stored["settings"]),
            dict(stored["origin"]),
        )
    except (*MALFORMED, MisuseError) as error:
        raise InputError(f"{path}: this checkpoint is damaged ({error}).") from error


def settings_from_json(values: dict[str, Any]) -> TrainSettings:
    """TrainSettings from what dataclasses.asdict made of them, through JSON or not."""
    values = json.loads(json.dumps(values))
    sampling = values.pop("sampling")
    sampling["background_iou"] = tuple(sampling["background_iou"])
    sampling["scales"] = tuple(sampling.get("scales", ()))
    schedule, svm = values.pop("schedule"), values.pop("svm", {})
    return TrainSettings(
        sampling=Sampling(**sampling),
        schedule=Schedule(**schedule),
        svm=SvmSettings(**svm),
        **values,
    )


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }
