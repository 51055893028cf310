"""The check of the boxes of a run's proposals: once for a given file, never for computed ones."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from slopes import calls_during

from frcnn_cli.engine.datasets.generate.dataset import generate_dataset
from frcnn_cli.engine.models.presets import base_experiment
from frcnn_cli.engine.proposals.for_dataset import given_proposals
from frcnn_cli.engine.records import Dataset, GroundTruth, ImageRecord
from frcnn_cli.engine.settings import DataSettings, Experiment, TrainSettings
from frcnn_cli.engine.settings.overrides import from_assignment, override
from frcnn_cli.engine.training.box_statistics import box_statistics
from frcnn_cli.engine.training.run import Run, RunOptions
from frcnn_cli.engine.training.start import start_run
from frcnn_proposals.base import Proposals
from frcnn_proposals.errors import InputError
from frcnn_proposals.store.provenance import Provenance
from frcnn_proposals.store.reader import open_store
from frcnn_proposals.store.writer import StoreWriter

SMALL = ("schedule.iterations=1", "train.workers=0", "preprocessing.scale=64",
         "preprocessing.max_size=100", "sampling.scales=[]", "proposals.source=dense",
         "proposals.allow_mismatch=true",
         "weights=none", "backbone=efficientnet_lite0")  # fmt: skip
BOXES = np.array([[0, 0, 40, 40], [5, 5, 90, 70]], np.float32)
TRUTH = GroundTruth(BOXES, np.array([1, 1]), np.zeros(2, bool))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FRCNN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def experiment(tmp_path: Path) -> Experiment:
    """Images 128 pixels wide, of which the first to train on is annotated as 100 pixels wide."""
    folder = tmp_path / "shapes"
    generate_dataset(folder, images=8, seed=1, size=(128, 96))
    first = (folder / "ImageSets/Main/train.txt").read_text().split()[0]
    annotation = folder / "Annotations" / f"{first}.xml"
    text = annotation.read_text()
    assert "<width>128</width>" in text
    annotation.write_text(text.replace("<width>128</width>", "<width>100</width>"))
    small = override(base_experiment(None), [from_assignment(text, "test") for text in SMALL])
    return replace(small, data=DataSettings(str(folder), "train"))


def test_computed_boxes_may_reach_outside_the_annotated_size_and_given_ones_may_not(
    experiment: Experiment, tmp_path: Path, cache: Path
) -> None:
    options = RunOptions(tmp_path / "run", device="cpu", tensorboard=True)
    assert start_run(experiment, options).path.exists()
    (computed,) = cache.rglob("*.proposals")
    proposals = replace(experiment.proposals, file=str(computed), source="")
    options = replace(options, folder=tmp_path / "other")
    with pytest.raises(InputError, match="is outside its image of 100 x 96"):
        start_run(replace(experiment, proposals=proposals), options)
    assert not (tmp_path / "other").exists()


def stored(path: Path, size: tuple[int, int] | None, images: int = 5) -> tuple[Dataset, Path]:
    """A dataset of images with this size, and a store for it that was checked for 100 x 80."""
    width, height = size or (None, None)
    with StoreWriter(path, Provenance("test")) as writer:
        for number in range(images):
            writer.add(f"{number}", Proposals(BOXES), size=(100, 80))
        writer.finish()
    records = (
        ImageRecord(f"{number}", Path(f"{number}.jpg"), width, height, TRUTH)
        for number in range(images)
    )
    return Dataset("made", "train", ("ant",), tuple(records)), path


@pytest.mark.parametrize(("size", "checks"), [((100, 80), 1), (None, 1), ((120, 90), 2)])
def test_boxes_of_a_store_are_checked_again_only_for_another_size(
    size: tuple[int, int] | None, checks: int, tmp_path: Path
) -> None:
    dataset, path = stored(tmp_path / "s", size)
    calls = calls_during(partial(given_proposals, dataset, path, allow_mismatch=True))
    assert calls["check_proposals"] == checks * len(dataset)


def test_a_run_that_is_resumed_reads_no_boxes(tmp_path: Path) -> None:
    """The statistics of the new run have checked them."""
    dataset, path = stored(tmp_path / "s", (100, 80))
    found = given_proposals(dataset, path, checked_later=True)
    run = Run(tmp_path, dataset, found.proposals, TrainSettings(), unchecked=found.unchecked)
    box_statistics(run, "inclusive")
    assert calls_during(partial(given_proposals, dataset, path))["stored_proposals"] == 0


def test_the_statistics_of_computed_boxes_leave_a_given_file_unchecked(tmp_path: Path) -> None:
    dataset, path = stored(tmp_path / "s", (50, 50))
    run = Run(tmp_path, dataset, open_store(path), TrainSettings())
    box_statistics(run, "inclusive")
    with pytest.raises(InputError, match="outside its image of 50 x 50"):
        given_proposals(dataset, path, allow_mismatch=True)
    with pytest.raises(InputError, match="outside its image of 50 x 50"):
        box_statistics(replace(run, unchecked=True), "inclusive")
