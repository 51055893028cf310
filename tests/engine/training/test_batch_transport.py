"""Batches of worker processes arrive where shared memory or file descriptors run out."""

from __future__ import annotations

import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_runs import equal, measured, new_model, settings, weights

from frcnn_cli.engine.records import Dataset
from frcnn_cli.engine.training.loop import train
from frcnn_cli.engine.training.run import Run
from frcnn_proposals.base import Proposals
from frcnn_proposals.errors import InputError

MakeProposals = Callable[[Dataset], dict[str, Proposals]]


@pytest.fixture
def run(tiny_dataset: Dataset, grid_proposals: MakeProposals, run_folder: Path) -> Run:
    return Run(run_folder, tiny_dataset, grid_proposals(tiny_dataset), settings(6, every=6))


@contextmanager
def time_limit(seconds: int) -> Iterator[None]:
    """Fail the block after `seconds`: a lost batch is waited for without end."""

    def fail(*_: object) -> None:
        raise AssertionError(f"nothing for {seconds} s")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def few_files(more: int) -> Iterator[None]:
    """Let this process and its children open this many files more."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    limit = len(list(Path("/proc/self/fd").iterdir())) + more
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


def in_workers(run: Run, folder: Path) -> Run:
    return replace(run, folder=folder, settings=replace(run.settings, workers=1))


def assert_same(first: Run, second: Run) -> None:
    assert equal(*(weights(run.folder / "model.safetensors") for run in (first, second)))
    assert measured(first.folder) == measured(second.folder)


def test_a_full_shared_memory_loses_no_batch(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(new_model(run.dataset), run)
    shared, left = torch.UntypedStorage._share_fd_cpu_, [6]

    def share(storage: torch.UntypedStorage, *arguments: object) -> object:
        left[0] -= 1
        if left[0] < 0:
            raise RuntimeError("unable to allocate shared memory(shm) for file </torch_1>")
        return shared(storage, *arguments)

    monkeypatch.setattr(torch.UntypedStorage, "_share_fd_cpu_", share)
    with time_limit(240):
        train(new_model(run.dataset), in_workers(run, tmp_path))
    assert_same(run, in_workers(run, tmp_path))


def test_few_file_descriptors_lose_no_batch(run: Run, tmp_path: Path) -> None:
    train(new_model(run.dataset), run)
    with time_limit(240), few_files(20):
        train(new_model(run.dataset), in_workers(run, tmp_path))
    assert_same(run, in_workers(run, tmp_path))


def test_workers_that_cannot_start_are_explained(run: Run, tmp_path: Path) -> None:
    with few_files(3), pytest.raises(InputError, match=r"cannot start .*\n.*--workers, 0 for none"):
        train(new_model(run.dataset), in_workers(run, tmp_path))
