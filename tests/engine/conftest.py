"""Fixtures: a detector small enough to train in a test, and its data."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from fake_cuda import FakeCuda, installed_cuda

from frcnn_cli.engine.datasets.find import find_dataset
from frcnn_cli.engine.datasets.generate.dataset import generate_dataset
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.records import Dataset
from frcnn_cli.engine.settings import Architecture, Preprocessing
from frcnn_proposals.base import Proposals
from frcnn_proposals.sources.dense import DenseBoxes

SMALL = Architecture(
    backbone="efficientnet_lite0",
    classes=("cat", "dog"),
    hidden=(24, 16),
    preprocessing=Preprocessing(scale=64, max_size=120),
)


@pytest.fixture
def small_model() -> FastRCNN:
    torch.manual_seed(0)
    return FastRCNN(SMALL).eval()


@pytest.fixture(scope="session")
def tiny_dataset(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    """The training split of twelve generated images."""
    folder = tmp_path_factory.mktemp("data") / "shapes"
    generate_dataset(folder, images=12, seed=1, size=(128, 96))
    return find_dataset(str(folder), "trainval")


@pytest.fixture(scope="session")
def grid_proposals() -> Callable[[Dataset], dict[str, Proposals]]:
    """The same sliding-window proposals for every image of a dataset."""

    def propose(dataset: Dataset) -> dict[str, Proposals]:
        boxes = DenseBoxes().propose(np.zeros((96, 128, 3), np.uint8)).top(400)
        return {record.image_id: boxes for record in dataset.images}

    return propose


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    return folder


@pytest.fixture
def fake_cuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCuda]:
    with installed_cuda(monkeypatch) as fake:
        yield fake
