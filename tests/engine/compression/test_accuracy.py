"""mAP of several models in one pass, compared with a separate evaluation of each model."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from counting_reporter import Counting
from torch import Tensor, nn

from frcnn_cli.engine.compression.accuracy import measure_map
from frcnn_cli.engine.compression.layers import compress
from frcnn_cli.engine.detection.dataset import detect_dataset
from frcnn_cli.engine.detection.prepare import prepare_model
from frcnn_cli.engine.evaluation.voc import evaluate_voc
from frcnn_cli.engine.models.store import as_stored
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.proposals.for_dataset import DatasetProposals
from frcnn_cli.engine.records import Dataset
from frcnn_cli.engine.settings import DetectSettings
from frcnn_proposals.base import Proposals
from frcnn_proposals.errors import InputError

Grid = Callable[[Dataset], dict[str, Proposals]]


@pytest.fixture
def model(small_model: FastRCNN, tiny_dataset: Dataset) -> FastRCNN:
    """An untrained model with the classes of the dataset."""
    torch.manual_seed(1)
    return FastRCNN(replace(small_model.architecture, classes=tiny_dataset.classes)).eval()


def images_of(dataset: Dataset, proposals: dict[str, Proposals]) -> DatasetProposals:
    return DatasetProposals(dataset, proposals, Path("grid.proposals"), "computed")


def separate_map(model: FastRCNN, dataset: Dataset, proposals: dict[str, Proposals]) -> float:
    ready, settings = prepare_model(model), DetectSettings(score_threshold=None)
    found = detect_dataset(ready, dataset, proposals, settings)
    return evaluate_voc(dataset, found.found).map_11point or 0.0


def test_each_model_scores_as_if_evaluated_separately(
    model: FastRCNN, tiny_dataset: Dataset, grid_proposals: Grid
) -> None:
    proposals = grid_proposals(tiny_dataset)
    thin = compress(model, {"fc6": 3, "fc7": 2}).model
    # Rounded feature layers differ, so they must not share the maps of the exact layers.
    models = (model, thin, as_stored(thin, half=True))
    maps = measure_map(models, images_of(tiny_dataset, proposals))
    assert maps == tuple(separate_map(m, tiny_dataset, proposals) for m in models)
    assert len(set(maps)) > 1


def test_feature_layers_run_once_per_image(
    model: FastRCNN,
    tiny_dataset: Dataset,
    grid_proposals: Grid,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    thin = compress(model, {"fc6": 3}).model
    runs = 0
    forward = type(model.features).forward

    def counted(features: nn.Module, images: Tensor) -> Tensor:
        nonlocal runs
        runs += 1
        return forward(features, images)

    monkeypatch.setattr(type(model.features), "forward", counted)
    measure_map((model, thin), images_of(tiny_dataset, grid_proposals(tiny_dataset)))
    assert runs == len(tiny_dataset)


def test_an_image_that_cannot_be_read_is_skipped(
    model: FastRCNN, tiny_dataset: Dataset, grid_proposals: Grid, tmp_path: Path
) -> None:
    first, *others = tiny_dataset.images
    proposals = grid_proposals(tiny_dataset)
    lost = replace(first, path=tmp_path / "lost.jpg")
    damaged = replace(tiny_dataset, images=(lost, *others))
    reporter = Counting()
    maps = measure_map((model,), images_of(damaged, proposals), reporter=reporter)
    rest = replace(tiny_dataset, images=tuple(others))
    assert maps == (separate_map(model, rest, proposals),)
    assert len(reporter.warnings) == 1
    assert "lost.jpg" in reporter.warnings[0]
    with pytest.raises(InputError, match="no image of the dataset can be read"):
        measure_map((model,), images_of(replace(tiny_dataset, images=(lost,)), proposals))
