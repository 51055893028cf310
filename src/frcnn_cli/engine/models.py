"""Models on disk: saved, loaded, and the newest one found."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from frcnn_cli.engine.backbones import Backbone
from frcnn_cli.engine.checkpoint import describes_model, load_tensors, save_tensors
from frcnn_cli.engine.model import FastRCNN, create_model, rebuild_model
from frcnn_cli.engine.settings import Preprocessing
from frcnn_proposals.errors import InputError, MisuseError

MODEL_FILE = "model.safetensors"
CHECKPOINT_FILE = "checkpoint.safetensors"


def save_model(model: FastRCNN, path: Path, origin: dict[str, Any]) -> None:
    """Write `model` to `path`. origin: JSON values saying what it was trained on, and how."""
    save_tensors(path, model.architecture, model.state_dict(), origin)


def load_model(path: Path) -> tuple[FastRCNN, dict[str, Any]]:
    """The model in a file, in evaluation mode, and its origin.

    Raises InputError, naming the file, where it is damaged or its weights do not fit.
    """
    stored = load_tensors(path)
    try:
        return rebuild_model(stored.architecture, stored.tensors), stored.origin
    except MisuseError as error:
        raise InputError(f"{path}: {error}") from error
    except RuntimeError as error:
        reason = str(error).splitlines()[-1].strip()
        raise InputError(f"{path}: its weights do not fit its architecture: {reason}") from error


def initial_model(
    backbone: Backbone,
    classes: tuple[str, ...],
    weights: str,
    preprocessing: Preprocessing,
    seed: int,
) -> FastRCNN:
    """The network that training starts from.

    weights: `imagenet`, `none`, a file of the backbone's ImageNet weights, or a model of this
    toolkit, compressed or not, of the same backbone and classes. Raises InputError or
    MisuseError where they cannot be read or do not fit.
    """
    path = Path(weights)
    if weights in ("imagenet", "none") or not is_model(path) or not describes_model(path):
        return create_model(backbone, classes, weights, preprocessing, seed)
    model, _ = load_model(find_model(path, path.parent))
    architecture = model.architecture
    if architecture.backbone != backbone.name:
        raise MisuseError(
            f"{weights}: this is a model on {architecture.backbone}. "
            f"Give --backbone {architecture.backbone}."
        )
    if architecture.classes != classes:
        raise MisuseError(f"{weights}: this model has other classes than the data set.")
    model.architecture = replace(architecture, preprocessing=preprocessing)
    return model


def find_model(given: Path | None, runs_root: Path) -> Path:
    """The model file that is meant: `given`, a file or a run's folder, or else the newest run's.

    Raises MisuseError where there is none, saying how to get one.
    """
    if given is None:
        found = sorted(runs_root.glob(f"*/{MODEL_FILE}"), key=lambda path: path.stat().st_mtime)
        if not found:
            raise MisuseError(
                f"There is no trained model under {runs_root}/.\n"
                "Train one with `frcnn train voc2007`, or name a model file."
            )
        return found[-1]
    path = given / MODEL_FILE if given.is_dir() else given
    if given.is_dir() and (given / CHECKPOINT_FILE).is_file() and not path.is_file():
        raise MisuseError(
            f"{given}: this run has not finished.\nGo on with `frcnn train --resume {given}`."
        )
    if not path.is_file():
        raise MisuseError(
            f"{given}: there is no model there.\n"
            f"Name a .safetensors file or a run's folder that holds {MODEL_FILE}."
        )
    return path


def is_model(path: Path) -> bool:
    """Whether `path` names a model: a .safetensors file, or the folder of a run."""
    return path.suffix == ".safetensors" or any(
        (path / name).is_file() for name in (MODEL_FILE, CHECKPOINT_FILE)
    )
