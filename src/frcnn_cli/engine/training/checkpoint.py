"""Checkpoints, from which runs are resumed. Progress is read without importing torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frcnn_cli.engine.distributed.signals import LAST_WRITE
from frcnn_cli.engine.models.file import MALFORMED, load_tensors, read_description, save_tensors
from frcnn_cli.engine.models.store import CHECKPOINT_FILE, SETTING_FILE
from frcnn_cli.engine.settings import TrainSettings
from frcnn_cli.engine.settings.fields import nested
from frcnn_cli.engine.settings.overrides import from_nested, override
from frcnn_proposals.errors import InputError, MisuseError, reason

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from frcnn_cli.engine.network.model import FastRCNN

_OPTIMIZER = "optimizer."


@dataclass(frozen=True)
class Progress:
    """Completed iterations, the run's settings and origin, and the best mAP on val so far.

    awaits_validation: whether the model after these iterations has still to be scored on val.
    """

    iteration: int
    settings: TrainSettings
    origin: dict[str, Any]
    best: float | None = None
    awaits_validation: bool = False


def save_checkpoint(
    folder: Path, model: FastRCNN, optimizer: torch.optim.Optimizer, progress: Progress
) -> None:
    """Write weights, optimizer state and progress to the run's folder, atomically.

    Raises InputError, and leaves the previous checkpoint in place, if a value is not finite or
    the disk is full.
    """
    import torch

    with LAST_WRITE:
        tensors = {f"model.{name}": value for name, value in model.state_dict().items()}
        for name, parameter in model.named_parameters():
            for kind, value in optimizer.state[parameter].items():
                tensors[f"{_OPTIMIZER}{kind}.{name}"] = value
        origin = vars(progress) | {"settings": nested(progress.settings)}
        for name, value in tensors.items():
            if not torch.isfinite(value).all():
                raise InputError(
                    f"After iteration {progress.iteration}, {name} contains values that are not "
                    f"finite.\nLower --learning-rate. {_kept(folder)}"
                )
        with resumable_after_failure(folder):
            save_tensors(folder / CHECKPOINT_FILE, model.architecture, tensors, origin)


def resumable_after_failure(folder: Path) -> AbstractContextManager[None]:
    """If the block cannot write a file, add to the error how to resume the run."""
    return _advised(
        f"{_kept(folder)} Free disk space, then resume with `frcnn train --resume {folder}`."
    )


def _kept(folder: Path) -> str:
    """A sentence on what a failed write leaves in the run's folder."""
    if (folder / CHECKPOINT_FILE).is_file():
        return "The last checkpoint is kept."
    return "There is no checkpoint yet: the run will start again."


def restartable_after_damage(folder: Path) -> AbstractContextManager[None]:
    """If the block cannot read the run's checkpoint, add to the error how to restart it."""
    setting = folder / SETTING_FILE
    restart = f"Restart the run with `frcnn train --config {setting}`."
    return _advised(restart) if setting.is_file() else nullcontext()


@contextmanager
def _advised(advice: str) -> Iterator[None]:
    try:
        yield
    except InputError as error:
        raise type(error)(f"{error}\n{advice}") from error


def load_checkpoint(folder: Path) -> tuple[FastRCNN, dict[str, Tensor], Progress]:
    """The model, the optimizer's state ("momentum_buffer.fc6.weight"), and the progress.

    Raises InputError if the folder contains no readable checkpoint.
    """
    from frcnn_cli.engine.network.creation import rebuild_model

    progress = load_progress(folder)
    path = folder / CHECKPOINT_FILE
    with restartable_after_damage(folder):
        stored = load_tensors(path)
        try:
            model = rebuild_model(stored.architecture, _part(stored.tensors, "model."))
        except (RuntimeError, MisuseError) as error:
            raise InputError(f"{path}: this checkpoint is damaged ({reason(error)}).") from error
    return model, _part(stored.tensors, _OPTIMIZER), progress


def load_progress(folder: Path) -> Progress:
    """The progress of a run's last checkpoint, without its tensors.

    Raises InputError if the folder contains no readable checkpoint.
    """
    path = folder / CHECKPOINT_FILE
    if not path.is_file():
        raise InputError(f"{folder}: this folder has no {CHECKPOINT_FILE} to resume from.")
    with restartable_after_damage(folder):
        stored = read_description(path)["origin"]
        try:
            return Progress(
                int(stored["iteration"]),
                override(TrainSettings(), from_nested(stored["settings"], "Its settings")),
                dict(stored["origin"]),
                None if stored.get("best") is None else float(stored["best"]),
                bool(stored.get("awaits_validation", False)),
            )
        except (*MALFORMED, MisuseError) as error:
            raise InputError(f"{path}: this checkpoint is damaged ({reason(error)}).") from error


def _part(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {
        name.removeprefix(prefix): value
        for name, value in tensors.items()
        if name.startswith(prefix)
    }


def restore_optimizer(
    model: FastRCNN, optimizer: torch.optim.Optimizer, state: Mapping[str, Tensor]
) -> None:
    """Restore an optimizer's state from a checkpoint, by parameter name."""
    import torch

    parameters = dict(model.named_parameters())
    for path, value in state.items():
        kind, _, name = path.partition(".")
        parameter = parameters.get(name)
        if parameter is not None and parameter.requires_grad:
            # In the parameter's memory layout if the shapes are equal, and always on its device:
            # fused AdamW reads its step counter there.
            like = parameter if value.shape == parameter.shape else value
            restored = torch.empty_like(like, device=parameter.device)
            optimizer.state[parameter][kind] = restored.copy_(value)
