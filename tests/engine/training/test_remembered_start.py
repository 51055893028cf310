"""A second start on the same data reads no boxes again; any change of the data is noticed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from slopes import calls_during, slope

from frcnn_cli.engine.datasets.find import all_ids
from frcnn_cli.engine.distributed.team import Team
from frcnn_cli.engine.proposals import for_dataset
from frcnn_cli.engine.proposals import workers as workers_module
from frcnn_cli.engine.proposals.for_dataset import given_proposals
from frcnn_cli.engine.proposals.workers import workers_for
from frcnn_cli.engine.records import Dataset, GroundTruth, ImageRecord
from frcnn_cli.engine.settings import Sampling, TrainSettings
from frcnn_cli.engine.training import sampling as sampling_module
from frcnn_cli.engine.training.run import Run
from frcnn_cli.engine.training.sampling import (
    box_statistics,
    candidates_of,
    target_statistics,
)
from frcnn_proposals.base import Proposals
from frcnn_proposals.errors import InputError
from frcnn_proposals.store.provenance import Provenance
from frcnn_proposals.store.reader import open_store
from frcnn_proposals.store.writer import StoreWriter


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("FRCNN_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def boxes(rng: np.random.Generator, count: int) -> np.ndarray:
    low = rng.integers(0, 150, (count, 2))
    return np.hstack([low, low + rng.integers(20, 50, (count, 2))]).astype(np.float32)


def make_dataset(images: int, seed: int = 0, size: int = 200) -> Dataset:
    rng = np.random.default_rng(seed)
    truths = [GroundTruth(boxes(rng, 4), rng.integers(1, 4, 4), np.zeros(4, bool))] * images
    records = [
        ImageRecord(f"{number:05}", Path(f"{number:05}.jpg"), size, size, truth)
        for number, truth in enumerate(truths)
    ]
    return Dataset("made", "train", ("ant", "bee", "cat"), tuple(records))


def make_store(path: Path, images: int, seed: int = 1) -> Path:
    rng = np.random.default_rng(seed)
    with StoreWriter(path, Provenance("test")) as writer:
        for number in range(images):
            writer.add(f"{number:05}", Proposals(boxes(rng, 60)))
        return writer.finish()


def make_run(path: Path, dataset: Dataset, **settings: object) -> Run:
    return Run(path.parent, dataset, open_store(path), replace(TrainSettings(), **settings))  # type: ignore[arg-type]


def statistics_of(run: Run) -> tuple[np.ndarray, np.ndarray]:
    """From all candidates of all images, in this process."""
    settings, sampling = run.settings, run.settings.sampling
    every = [candidates_of(record, run.proposals, settings) for record in run.dataset.images]
    return target_statistics(every, 3, sampling.foreground_iou, "inclusive", sampling.flip)


def test_a_second_start_reads_no_boxes(tmp_path: Path) -> None:
    first, second = [], []
    for images in (5, 25):
        dataset, path = make_dataset(images), make_store(tmp_path / str(images), images)

        def start(dataset: Dataset = dataset, path: Path = path) -> None:
            run = replace(
                make_run(path, dataset), proposals=given_proposals(dataset, path).proposals
            )
            box_statistics(run, "inclusive")

        first.append((images, calls_during(start)["stored_proposals"]))
        second.append((images, calls_during(start)["stored_proposals"]))
    assert slope(*first) == 2
    assert [count for _, count in second] == [0, 0]


@pytest.mark.parametrize("workers", [0, 2])
def test_the_statistics_are_the_same_to_the_bit(
    tmp_path: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampling_module, "workers_for", lambda *_: workers)
    monkeypatch.setattr(workers_module, "_IMAGES_AT_ONCE", 3)
    run = make_run(make_store(tmp_path / "s", 10), make_dataset(10))
    expected = statistics_of(run)
    for _ in range(2):
        found = box_statistics(run, "inclusive")
        assert [part.tobytes() for part in found] == [part.tobytes() for part in expected]


CHANGES = {
    "objects": lambda run: replace(run, dataset=make_dataset(10, seed=5)),
    "number of proposals": lambda run: replace(run, settings=replace(run.settings, proposals=9)),
    "IoU": lambda run: replace(
        run, settings=replace(run.settings, sampling=Sampling(foreground_iou=0.6))
    ),
    "flips": lambda run: replace(
        run, settings=replace(run.settings, sampling=Sampling(flip=not Sampling().flip))
    ),
    "boxes": lambda run: replace(
        run, proposals=open_store(make_store(run.proposals.path, 10, seed=7))
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_noticed(tmp_path: Path, change: str) -> None:
    run = make_run(make_store(tmp_path / "s", 10), make_dataset(10))
    before = box_statistics(run, "inclusive")
    changed = CHANGES[change](run)
    expected = statistics_of(changed)
    after = box_statistics(changed, "inclusive")
    assert not np.array_equal(np.array(before), np.array(after))
    assert np.array_equal(np.array(after), np.array(expected))


def test_workers_report_the_first_fault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(for_dataset, "workers_for", lambda *_: 2)
    monkeypatch.setattr(workers_module, "_IMAGES_AT_ONCE", 1)
    dataset, path = make_dataset(6), make_store(tmp_path / "s", 6)
    assert len(given_proposals(dataset, path).dataset) == 6
    small = [
        replace(record, width=30) if n > 2 else record for n, record in enumerate(dataset.images)
    ]
    with pytest.raises(
        InputError, match=r"s: image 00003: box 0 .* is outside its image of 30 x 200"
    ):
        given_proposals(replace(dataset, images=tuple(small)), path)


def test_changed_proposals_and_sizes_are_checked_again(tmp_path: Path) -> None:
    dataset, path = make_dataset(10), make_store(tmp_path / "s", 10)
    given_proposals(dataset, path)
    with pytest.raises(InputError, match="outside its image"):
        given_proposals(make_dataset(10, size=150), path)
    with StoreWriter(path, Provenance("test")) as writer:
        for number in range(10):
            writer.add(f"{number:05}", Proposals(np.array([[0, 0, 900, 9]])))
        writer.finish()
    with pytest.raises(InputError, match="outside its image"):
        given_proposals(dataset, path)


DAMAGES = {
    "not json": "[",
    "another shape": "[[1, 2], [3, 4]]",
    "different lengths": "[[1], [2, 3]]",
    "an object": '{"means": 1}',
    "text": '"means"',
}


@pytest.mark.parametrize("damage", ["not writable", *DAMAGES])
def test_without_a_usable_cache_the_work_is_done(tmp_path: Path, cache: Path, damage: str) -> None:
    run = make_run(make_store(tmp_path / "s", 10), make_dataset(10))
    if damage == "not writable":
        cache.write_text("a file")
    expected = box_statistics(run, "inclusive")
    if damage != "not writable":
        (file,) = (cache / "remembered").iterdir()
        file.write_text(DAMAGES[damage])
    again = box_statistics(run, "inclusive")
    assert np.array_equal(np.array(again), np.array(expected))


class Second(Team):
    """The second of two processes, which gets what the first has computed."""

    def of_first(self, value: object) -> object:  # type: ignore[override]
        assert value is None
        return "of the first"

    @contextmanager
    def first_alone(self) -> Iterator[None]:
        yield


def test_one_process_of_a_team_reads_the_boxes(tmp_path: Path, cache: Path) -> None:
    cache.write_text("a file, so that nothing is remembered")
    run = replace(make_run(make_store(tmp_path / "s", 10), make_dataset(10)), team=Second(1, 2))
    assert calls_during(partial(box_statistics, run, "inclusive"))["stored_proposals"] == 0
    assert box_statistics(run, "inclusive") == "of the first"


@pytest.mark.parametrize(("rank", "workers"), [(None, 8), (0, 8), (1, 2), (3, 2)])
def test_processes_that_work_at_the_same_time_share_the_cores(
    rank: int | None, workers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(workers_module, "usable_cores", lambda: 8)
    store = open_store(make_store(tmp_path / "s", 1))
    if rank is not None:
        torchrun = {"WORLD_SIZE": 8, "LOCAL_WORLD_SIZE": 4, "RANK": rank, "TORCHELASTIC_RUN_ID": 1}
        for name, value in torchrun.items():
            monkeypatch.setenv(name, str(value))
    assert workers_for(make_dataset(1).images * 5000, store) == workers


def test_each_json_of_a_dataset_is_read_once_for_its_ids(tmp_path: Path) -> None:
    reads = []
    for splits in (("train", "val"), ("train", "val", "test")):
        root = tmp_path / str(len(splits))
        os.makedirs(root / "annotations")
        for split in splits:
            content = {
                "images": [{"id": 1, "file_name": f"{split}.jpg", "width": 9, "height": 9}],
                "annotations": [],
                "categories": [{"id": 1, "name": "ant"}],
            }
            (root / f"annotations/instances_{split}.json").write_text(json.dumps(content))
        reads.append((len(splits), calls_during(partial(all_ids, str(root)))["file_names"]))
        assert all_ids(str(root)) == set(splits)
    assert slope(*reads) == 1
