"""Compression by a bound from Python, without a command: what it returns, writes and reports."""

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
    """A small untrained model of the dataset's classes, in a file."""
    torch.manual_seed(1)
    model = FastRCNN(replace(small_model.architecture, classes=tiny_dataset.classes)).eval()
    save_model(model, tmp_path / "small.safetensors", {})
    return open_model(tmp_path / "small.safetensors", tmp_path, torch.device("cpu"))


@pytest.fixture
def images(
    tiny_dataset: Dataset, grid_proposals: Callable[[Dataset], dict[str, Proposals]]
) -> DatasetProposals:
    proposals = grid_proposals(tiny_dataset)
    return DatasetProposals(tiny_dataset, proposals, Path("made.proposals"), "made")


def test_all_work_is_reported_and_the_file_holds_the_result(
    loaded: LoadedModel, images: DatasetProposals, tmp_path: Path
) -> None:
    reporter, path = Counting(), tmp_path / "thin.safetensors"
    # fc7 of 16 x 24 pays up to rank 9.
    result = compress_model(loaded, Bound(svd_rank=12), path, images, reporter=reporter)
    assert reporter.done == reporter.totals
    assert set(reporter.totals) == {"Decomposing", "Timing", "Detecting, before and after"}
    assert reporter.warnings == [f"fc7 is not compressed: {result.compression.left_alone['fc7']}."]
    model, origin = load_model(path)
    assert model.architecture.ranks == {"fc6": 12}
    assert origin["compressed_from"] == str(loaded.path)
    assert result.after.bytes == path.stat().st_size < result.before.bytes
    assert result.dataset == images.dataset
    assert result.before.map_11point is not None


def test_a_model_in_bfloat16_stays_so(loaded: LoadedModel, tmp_path: Path) -> None:
    half, again = tmp_path / "half.safetensors", tmp_path / "again.safetensors"
    assert compress_model(loaded, Bound(), half, half=True).half
    reopened = open_model(half, tmp_path, torch.device("cpu"))
    assert compress_model(reopened, Bound(energy=0.3), again).half
    assert is_half(again)
    with pytest.raises(MisuseError, match="nothing is written"):
        compress_model(reopened, Bound(svd_rank=100), tmp_path / "none.safetensors")
    assert not (tmp_path / "none.safetensors").exists()


def test_a_drop_returns_what_was_tried(loaded: LoadedModel, images: DatasetProposals) -> None:
    compression, search = compress_within(loaded, Bound(max_drop=100.0), images)
    assert search is not None
    assert {
        layer.name: layer.rank for layer in compression.layers
    } == search.chosen.rung.choice.ranks
    with pytest.raises(MisuseError, match="needs images"):
        compress_within(loaded, Bound(max_drop=1.0))


def test_a_sweep_measures_the_model_as_it_is_first(
    loaded: LoadedModel, images: DatasetProposals
) -> None:
    result = sweep_ranks(loaded, (4, 12), images)
    assert [point.rank for point in result.points] == [None, 4, 12]
    assert [point.ranks for point in result.points] == [{}, {"fc6": 4, "fc7": 4}, {"fc6": 12}]
    assert not result.half


def test_a_sweep_in_bfloat16_rounds_the_compressed_models_alone(
    loaded: LoadedModel, images: DatasetProposals, monkeypatch: pytest.MonkeyPatch
) -> None:
    measured: list[FastRCNN] = []

    def remember(models: list[FastRCNN], *_: object) -> tuple[float, ...]:
        measured.extend(models)
        return (0.0,) * len(models)

    monkeypatch.setattr(sweep, "measure_map", remember)
    assert sweep_ranks(loaded, (4,), images, half=True).half
    whole, thin = measured
    assert torch.equal(whole.fc6.weight, loaded.model.fc6.weight)
    weight = thin.fc6.second.weight
    assert torch.equal(weight, weight.bfloat16().float())
    assert not torch.equal(whole.fc6.weight, whole.fc6.weight.bfloat16().float())
