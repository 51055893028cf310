"""A package with a small shipped model, in place of the real one."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from frcnn_cli.engine.datasets.find import find_dataset
from frcnn_cli.engine.datasets.fingerprint import Fingerprint
from frcnn_cli.engine.models.provenance import origin_of
from frcnn_cli.engine.models.shipped import table
from frcnn_cli.engine.models.store import save_model
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.settings import (
    Architecture,
    DataSettings,
    Experiment,
    Preprocessing,
    ProposalSettings,
)
from frcnn_cli.engine.training.cascade import set_refined_statistics


def small_model(classes: tuple[str, ...] = ("circle", "square"), parts: bool = False) -> FastRCNN:
    """A model with random weights. parts: a second head, a ranker, and target statistics."""
    torch.manual_seed(0)
    small = Preprocessing(scale=64, max_size=120)
    model = FastRCNN(
        Architecture("efficientnet_lite0", classes, (24, 16), small, cascade=parts, ranker=parts)
    )
    if model.second is not None:
        model.offset_means.fill_(0.01)
        model.offset_deviations.fill_(0.2)
        set_refined_statistics(model.second)
    return model


def experiment_on(dataset: str) -> Experiment:
    """An experiment on its train split, with proposals that take no time."""
    return Experiment(
        backbone="efficientnet_lite0",
        data=DataSettings(dataset, "train"),
        proposals=ProposalSettings(source="dense"),
    )


def ship(folder: Path, patch: pytest.MonkeyPatch, dataset: str = "", parts: bool = False) -> Path:
    """Write voc.safetensors to `folder`, which takes the place of the package's; return its path.

    dataset: that it was trained on, whose train split exists. parts: as in `small_model`.
    """
    patch.setattr(table, "FOLDER", folder.resolve())
    classes: tuple[str, ...] = ("circle", "square")
    fingerprint = None
    if dataset:
        train = find_dataset(dataset, "train")
        classes, fingerprint = train.classes, Fingerprint.of(train)
    origin = origin_of(experiment_on(dataset), "", fingerprint)
    path = folder / "voc.safetensors"
    save_model(small_model(classes, parts), path, origin)
    return path
