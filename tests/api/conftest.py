"""A folder as a user has it: a small dataset, proposals in a file, and an untrained model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import frcnn
from frcnn_cli.engine.models.provenance import origin_of
from frcnn_cli.engine.models.store import save_model
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.settings import (
    Architecture,
    DataSettings,
    DetectSettings,
    Experiment,
    Preprocessing,
    ProposalSettings,
)


@pytest.fixture(scope="session")
def user_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """shapes/, shapes.proposals and runs/small, whose model was set to 30 detections per image."""
    folder = tmp_path_factory.mktemp("user")
    frcnn.generate_dataset(folder / "shapes", 12, size=(128, 96))
    frcnn.propose(folder / "shapes", folder / "shapes.proposals", source="dense", workers=0)
    torch.manual_seed(0)
    classes = frcnn.find_dataset(folder / "shapes", "test").classes
    small = Preprocessing(scale=64, max_size=120)
    model = FastRCNN(Architecture("efficientnet_lite0", classes, (24, 16), small))
    experiment = Experiment(
        data=DataSettings(str(folder / "shapes"), "train"),
        proposals=ProposalSettings(source="dense"),
        detect=DetectSettings(score_threshold=0.12, top_k=30),
    )
    save_model(model, folder / "runs" / "small" / "model.safetensors", origin_of(experiment, ""))
    return folder


@pytest.fixture
def at_home(user_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder is the user's; the cache is the test's own."""
    monkeypatch.chdir(user_folder)
    monkeypatch.setenv("FRCNN_CACHE", str(tmp_path / "cache"))
    return user_folder
