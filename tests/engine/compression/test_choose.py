"""Compression by a bound from Python: its results, files and reports."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from counting_reporter import Counting

from frcnn_cli.engine.compression import sweep
from frcnn_cli.engine.compression.bounds import Bound
from frcnn_cli.engine.compression.choose import compress_model, compress_within
from frcnn_cli.engine.compression.sweep import sweep_ranks
from frcnn_cli.engine.models.loaded import LoadedModel, open_model
from frcnn_cli.engine.models.store import is_half, load_model, save_model
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.proposals.for_dataset import DatasetProposals
from frcnn_cli.engine.records import Dataset
from frcnn_proposals.base import Proposals
from frcnn_proposals.errors import MisuseError


@pytest.fixture
def loaded(small_model: FastRCNN, tiny_dataset: Dataset, tmp_path: Path) -> LoadedModel:
    """A small untrained model with the classes of the dataset, loaded from a file."""
    torch.manual_seed(1)
    model = FastRCNN(replace(small_model.architecture, classes=tiny_dataset.classes)).eval()
    save_model(model, tmp_path / "small.safetensors", {})
    return open_model(tmp_path / "small.safetensors", tmp_path, torch.device("cpu"))


@pytest.fixture
def images(
    tiny_dataset: Dataset, grid_proposals: Callable[[Dataset], dict[str, Proposals]]
) -> DatasetProposals:
    proposals = grid_proposals(tiny_dataset)
    return DatasetProposals(tiny_dataset, proposals, Path("grid.proposals"), "computed")


def test_progress_is_reported_and_the_file_contains_the_result(
    loaded: LoadedModel, images: DatasetProposals, tmp_path: Path
) -> None:
    reporter, path = Counting(), tmp_path / "thin.safetensors"
    # fc7 of 16 x 24 gets smaller up to rank 9.
    result = compress_model(loaded, Bound(svd_rank=12), path, images, reporter=reporter)
    assert reporter.done == reporter.totals
    assert set(reporter.totals) == {"Decomposing", "Timing", "Detecting, before and after"}
    # On a busy machine, another warning says that the times cannot be used.
    warnings = [each for each in reporter.warnings if not each.startswith("The times")]
    assert warnings == [f"fc7 is not compressed: {result.compression.unchanged['fc7']}."]
    model, origin = load_model(path)
    assert model.architecture.ranks == {"fc6": 12}
    assert origin["compressed_from"] == loaded.path.name
    assert result.after.bytes == path.stat().st_size < result.before.bytes
    assert result.dataset == images.dataset
    assert result.before.map_11point is not None


def test_a_model_in_bfloat16_stays_in_bfloat16(loaded: LoadedModel, tmp_path: Path) -> None:
    half, again = tmp_path / "half.safetensors", tmp_path / "again.safetensors"
    assert compress_model(loaded, Bound(), half, half=True).half
    reopened = open_model(half, tmp_path, torch.device("cpu"))
    assert compress_model(reopened, Bound(energy=0.3), again).half
    assert is_half(again)
    with pytest.raises(MisuseError, match="no model is written"):
        compress_model(reopened, Bound(svd_rank=100), tmp_path / "none.safetensors")
    assert not (tmp_path / "none.safetensors").exists()


def test_a_bound_on_the_drop_returns_the_tried_ranks(
    loaded: LoadedModel, images: DatasetProposals
) -> None:
    compression, search = compress_within(loaded, Bound(max_drop=100.0), images)
    assert search is not None
    assert {
        layer.name: layer.rank for layer in compression.layers
    } == search.chosen.rung.choice.ranks
    with pytest.raises(MisuseError, match="needs images to measure it on"):
        compress_within(loaded, Bound(max_drop=1.0))


def test_a_sweep_measures_the_uncompressed_model_first(
    loaded: LoadedModel, images: DatasetProposals
) -> None:
    result = sweep_ranks(loaded, (4, 12), images)
    assert [point.rank for point in result.points] == [None, 4, 12]
    assert [point.ranks for point in result.points] == [{}, {"fc6": 4, "fc7": 4}, {"fc6": 12}]
    assert not result.half


def test_a_sweep_in_bfloat16_rounds_only_the_compressed_models(
    loaded: LoadedModel, images: DatasetProposals, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[FastRCNN] = []

    def remember(models: list[FastRCNN], *_: object) -> tuple[float, ...]:
        measured.extend(models)
        return (0.0,) * len(models)

    monkeypatch.setattr(sweep, "measure_map", remember)
    assert sweep_ranks(loaded, (4,), images, half=True).half
    uncompressed, thin = measured
    assert torch.equal(uncompressed.fc6.weight, loaded.model.fc6.weight)
    weight = thin.fc6.second.weight
    assert torch.equal(weight, weight.bfloat16().float())
    assert not torch.equal(uncompressed.fc6.weight, uncompressed.fc6.weight.bfloat16().float())
