"""A second start on the same data reads no boxes again; any change of the data is noticed."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from slopes import calls_during, slope

from frcnn_cli.engine.datasets.find import all_ids
from frcnn_cli.engine.distributed.team import Team
from frcnn_cli.engine.proposals import box_checks
from frcnn_cli.engine.proposals import workers as workers_module
from frcnn_cli.engine.proposals.for_dataset import given_proposals
from frcnn_cli.engine.proposals.workers import workers_for
from frcnn_cli.engine.records import Dataset, GroundTruth, ImageRecord
from frcnn_cli.engine.settings import Sampling, TrainSettings
from frcnn_cli.engine.training import box_statistics as statistics_module
from frcnn_cli.engine.training.box_statistics import box_statistics, target_statistics
from frcnn_cli.engine.training.run import Run
from frcnn_cli.engine.training.sampling import candidates_of, target_offsets
from frcnn_proposals.base import Proposals
from frcnn_proposals.errors import InputError
from frcnn_proposals.formats.parts.about import ABOUT_FILE, About
from frcnn_proposals.formats.parts.files import write_part
from frcnn_proposals.formats.parts.proposals import PartsProposals
from frcnn_proposals.formats.parts.row import Row
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


def make_store(path: Path, images: int, seed: int = 1, size: tuple[int, int] | None = None) -> Path:
    rng = np.random.default_rng(seed)
    with StoreWriter(path, Provenance("test")) as writer:
        for number in range(images):
            writer.add(f"{number:05}", Proposals(boxes(rng, 60)), size=size)
        return writer.finish()


def make_run(path: Path, dataset: Dataset, **settings: object) -> Run:
    return Run(path.parent, dataset, open_store(path), replace(TrainSettings(), **settings))  # type: ignore[arg-type]


def statistics_of(run: Run) -> tuple[np.ndarray, np.ndarray]:
    """From all candidates of all images, in this process."""
    settings, sampling = run.settings, run.settings.sampling
    every = [candidates_of(record, run.proposals, settings) for record in run.dataset.images]
    return target_statistics(every, 3, sampling.foreground_iou, "inclusive", sampling.flip)


def test_the_first_start_reads_and_checks_boxes_once_and_the_second_not_at_all(
    tmp_path: Path,
) -> None:
    first, second = [], []
    for images in (5, 25):
        dataset = make_dataset(images)
        path = make_store(tmp_path / str(images), images, size=(200, 200))

        def start(dataset: Dataset = dataset, path: Path = path) -> None:
            found = given_proposals(dataset, path, checked_later=True)
            run = replace(make_run(path, dataset), proposals=found.proposals)
            box_statistics(replace(run, unchecked=found.unchecked), "inclusive")

        first.append((images, calls_during(start)))
        second.append((images, calls_during(start)))
    for function in ("stored_proposals", "check_proposals"):
        assert slope(*((images, calls[function]) for images, calls in first)) == 1
        assert [calls[function] for _, calls in second] == [0, 0]


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("stored", [None, (200, 200)])
def test_the_statistics_report_the_first_box_outside_its_image(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    workers: int,
    stored: tuple[int, int] | None,
) -> None:
    """The start of a run leaves this check to them."""
    monkeypatch.setattr(statistics_module, "workers_for", lambda *_: workers)
    monkeypatch.setattr(workers_module, "_IMAGES_AT_ONCE", 2)
    dataset, path = make_dataset(6), make_store(tmp_path / "s", 6, size=stored)
    small = [
        replace(record, width=30) if n > 2 else record for n, record in enumerate(dataset.images)
    ]
    changed = replace(dataset, images=tuple(small))
    run = replace(make_run(path, changed), unchecked=True)
    with pytest.raises(InputError) as caught:
        box_statistics(run, "inclusive")
    assert re.match(
        rf"{re.escape(str(path))}: image 00003: box \d+ .* is outside its image of 30 x 200",
        str(caught.value),
    )
    assert len(box_statistics(make_run(path, dataset), "inclusive")) == 2


def test_processes_that_read_boxes_start_without_torch() -> None:
    program = "import sys, frcnn_cli.engine.training.box_statistics; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.stdout == "False\n", done.stderr


def make_parts(path: Path, images: int) -> Path:
    """Parts of as many images, written like `frcnn propose --parts`."""
    about = About("proposals", {"source": "test", "version": "1", "parameters": {}})
    rng = np.random.default_rng(1)
    path.mkdir()
    (path / ABOUT_FILE).write_bytes(about.to_json())
    rows = [Row(f"{number:05}", boxes(rng, 60)) for number in range(images)]
    write_part(path / f"part-{about.digest[:8]}-1of1-000000-00000000.jsonl", rows)
    return path


def test_the_statistics_of_parts_are_remembered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make_parts(tmp_path / "parts", 10)
    run = replace(
        make_run(make_store(tmp_path / "s", 10), make_dataset(10)), proposals=PartsProposals(path)
    )
    expected = statistics_of(run)
    first = box_statistics(run, "inclusive")
    monkeypatch.delattr(PartsProposals, "__getitem__")
    again = box_statistics(run, "inclusive")
    for found in (first, again):
        assert [part.tobytes() for part in found] == [part.tobytes() for part in expected]


def test_workers_read_parts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers_module, "usable_cores", lambda: 8)
    parts = PartsProposals(make_parts(tmp_path / "parts", 1))
    assert workers_for(make_dataset(1).images * 5000, parts) == 8


@pytest.mark.parametrize("workers", [0, 2])
def test_the_statistics_are_the_same_to_the_bit(
    tmp_path: Path, workers: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statistics_module, "workers_for", lambda *_: workers)
    monkeypatch.setattr(workers_module, "_IMAGES_AT_ONCE", 3)
    run = make_run(make_store(tmp_path / "s", 10), make_dataset(10))
    expected = statistics_of(run)
    for _ in range(2):
        found = box_statistics(run, "inclusive")
        assert [part.tobytes() for part in found] == [part.tobytes() for part in expected]


@pytest.mark.parametrize("fails", [False, True])
def test_torch_uses_one_thread_for_the_statistics_and_as_many_as_before_afterwards(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fails: bool
) -> None:
    """Threads of torch that spin would take the cores of the workers."""
    import torch

    during = []

    def offsets(*arguments: Any) -> np.ndarray:
        during.append(torch.get_num_threads())
        if fails:
            raise InputError("a fault")
        return target_offsets(*arguments)

    monkeypatch.setattr(statistics_module, "target_offsets", offsets)
    run = make_run(make_store(tmp_path / "s", 10), make_dataset(10))
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        with pytest.raises(InputError) if fails else nullcontext():
            box_statistics(run, "inclusive")
        after = torch.get_num_threads()
    finally:
        torch.set_num_threads(before)
    assert set(during) == {1}
    assert after == 3


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
    monkeypatch.setattr(box_checks, "workers_for", lambda *_: 2)
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


@pytest.mark.parametrize("width", [None, 100, 200])
def test_boxes_that_were_checked_for_another_size_are_checked(
    tmp_path: Path, width: int | None
) -> None:
    """The annotated size counts, if there is one."""
    path, dataset = make_store(tmp_path / "s", 6, size=(200, 200)), make_dataset(6)
    record = replace(dataset.images[4], width=width)
    changed = replace(dataset, images=(*dataset.images[:4], record, dataset.images[5]))
    if width != 100:
        assert given_proposals(changed, path).dataset == changed
        return
    with pytest.raises(InputError, match=r"00004: box \d+ .* outside its image of 100 x 200"):
        given_proposals(changed, path, allow_mismatch=True)


def test_boxes_that_were_damaged_later_are_found_at_the_start(tmp_path: Path) -> None:
    """Although they were checked for this size when they were written."""
    path, dataset = make_store(tmp_path / "s", 6, size=(200, 200)), make_dataset(6)
    damaged = np.full((60, 4), np.nan, "<f4").tobytes()
    with sqlite3.connect(path) as connection:
        connection.execute("UPDATE proposals SET boxes = ? WHERE id = '00004'", (damaged,))
    connection.close()
    with pytest.raises(InputError, match="00004"):
        given_proposals(dataset, path)


DAMAGES = {
    "not json": "[",
    "another shape": "[[1, 2], [3, 4]]",
    "different lengths": "[[1], [2, 3]]",
    "an object": '{"means": 1}',
    "text": '"means"',
    "deep": "[" * 100_000,
    "null": json.dumps([[[None] * 4] * 3] * 2),
    "not a number": json.dumps([[[float("nan")] * 4] * 3] * 2),
    "a huge integer": json.dumps([[[10**400] * 4] * 3] * 2),
    "a huge float": json.dumps([[[1e300] * 4] * 3] * 2),
    "a deviation of 0": json.dumps([[[0] * 4] * 3] * 2),
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
