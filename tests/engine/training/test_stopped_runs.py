"""What an interrupted run saves, and its messages."""

import math
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from small_runs import equal, measured, new_model, settings, weights
from torch.utils.data import get_worker_info

from frcnn_cli.engine.distributed import signals
from frcnn_cli.engine.distributed.interrupt import stop_between_steps
from frcnn_cli.engine.models.provenance import origin_of
from frcnn_cli.engine.records import Dataset
from frcnn_cli.engine.settings import DataSettings, Experiment, Schedule
from frcnn_cli.engine.training.checkpoint import load_checkpoint, restore_optimizer
from frcnn_cli.engine.training.loop import resume, train
from frcnn_cli.engine.training.optimizer import make_optimizer
from frcnn_cli.engine.training.run import Run, StepReport
from frcnn_cli.engine.training.run_folder import lock_folder, read_run, write_setting
from frcnn_proposals.base import Proposals
from frcnn_proposals.errors import InputError, MisuseError

MakeProposals = Callable[[Dataset], dict[str, Proposals]]


@pytest.fixture(autouse=True)
def no_earlier_signal(monkeypatch: pytest.MonkeyPatch) -> None:
    """The tests follow each other within a second."""
    monkeypatch.setattr(signals, "_handled_at", -math.inf)


@pytest.fixture
def run(tiny_dataset: Dataset, grid_proposals: MakeProposals, run_folder: Path) -> Run:
    return Run(run_folder, tiny_dataset, grid_proposals(tiny_dataset), settings(6, every=2))


@contextmanager
def file_size_limit() -> Iterator[Callable[[int], None]]:
    """Yield a function that limits the size of files that this process may write: a full disk.

    Not a fixture: between a test's end and that of its fixtures, pytest itself writes to a file.
    """
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_do_not_change_losses_or_weights(run: Run, tmp_path: Path, workers: int) -> None:
    plain = train(new_model(run.dataset), run)
    parallel = replace(run, folder=tmp_path, settings=replace(run.settings, workers=workers))
    other = train(new_model(run.dataset), parallel)
    assert equal(weights(plain.path), weights(other.path))
    assert measured(run.folder) == measured(tmp_path)
    assert get_worker_info() is None


def test_a_full_disk_keeps_the_last_checkpoint(run: Run, tmp_path: Path) -> None:
    with file_size_limit() as limit:

        def fill(step: StepReport) -> None:
            if step.iteration == 3:
                limit(1_000_000)

        with pytest.raises(InputError, match=r"(?s)cannot be written.*Free disk space.*--resume"):
            train(new_model(run.dataset), run, fill)
    assert load_checkpoint(run.folder)[2].iteration == 2
    assert not list(run.folder.glob(".*"))
    whole = train(new_model(run.dataset), replace(run, folder=tmp_path / "whole"))
    assert equal(weights(resume(run).path), weights(whole.path))


def test_unwritable_metrics_stop_the_run(run: Run) -> None:
    with (
        file_size_limit() as limit,
        pytest.raises(InputError, match=r"metrics\.jsonl: cannot be written"),
    ):
        train(new_model(run.dataset), run, lambda step: limit(100))


def test_weights_that_are_not_finite_are_not_saved(run: Run) -> None:
    model = new_model(run.dataset)

    def corrupt(step: StepReport) -> None:
        if step.iteration == 4:
            with torch.no_grad():
                model.fc7.bias[0] = float("inf")

    with pytest.raises(
        InputError, match=r"iteration 4, model\.fc7\.bias contains values that are not finite"
    ):
        train(model, run, corrupt)
    assert load_checkpoint(run.folder)[2].iteration == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_waits_for_the_end_of_the_step(run: Run, number: signal.Signals) -> None:
    def interrupt(step: StepReport) -> None:
        if step.iteration == 3:
            signal.raise_signal(number)

    before = signal.getsignal(number)
    with pytest.raises(KeyboardInterrupt):
        train(new_model(run.dataset), run, interrupt)
    assert load_checkpoint(run.folder)[2].iteration == 3
    assert signal.getsignal(number) is before


def interrupted_twice() -> None:
    with stop_between_steps() as stop:
        signal.raise_signal(signal.SIGINT)
        assert stop.made
        signal.raise_signal(signal.SIGINT)


def test_a_second_signal_does_not_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "_SECONDS_OF_ONE_REQUEST", 0.0)
    with pytest.raises(KeyboardInterrupt):
        interrupted_twice()


@pytest.mark.parametrize("number", signals.STOP_SIGNALS)
def test_one_request_may_send_two_signals(
    number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `timeout` does: to the process, and to its group."""
    monkeypatch.setattr(signals, "_SECONDS_OF_ONE_REQUEST", 600.0)  # the machine may be busy
    with stop_between_steps() as stop:
        signal.raise_signal(number)
        signal.raise_signal(number)
        assert stop.made


def test_one_request_may_send_its_second_signal_after_the_last_step(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(signals, "_SECONDS_OF_ONE_REQUEST", 600.0)  # the machine may be busy
    signals_before = signals.handle_stop_signals(signal.default_int_handler)
    try:
        with stop_between_steps() as stop:
            signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
    finally:
        for number, handler in signals_before.items():
            signal.signal(number, handler)
    assert stop.made


def test_a_closed_terminal_may_send_two_signals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "_SECONDS_OF_ONE_REQUEST", 0.0)
    with stop_between_steps() as stop:
        signal.raise_signal(signal.SIGHUP)
        signal.raise_signal(signal.SIGHUP)
        assert stop.made


def test_leftovers_of_a_killed_process_are_removed(run_folder: Path) -> None:
    leftover = run_folder / ".checkpoint.safetensors.x1.partial"
    leftover.write_bytes(b"half")
    with lock_folder(run_folder):
        assert not leftover.exists()


def test_a_changed_setting_is_rejected(run: Run) -> None:
    experiment = Experiment(train=run.settings, data=DataSettings("shapes", "train"))
    write_setting(run.folder, experiment)
    assert read_run(run.folder).experiment == experiment
    assert read_run(run.folder).progress is None
    stopped = replace(run, settings=settings(2, every=2), origin=origin_of(experiment, "abc"))
    train(new_model(run.dataset), stopped)
    assert read_run(run.folder).experiment == experiment
    write_setting(run.folder, replace(experiment, backbone="vgg16"))
    with pytest.raises(
        MisuseError, match="backbone is 'vgg16', but the run was started with 'effic"
    ):
        read_run(run.folder)


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_a_restored_optimizer_has_its_state_on_the_device_of_the_weights(
    tiny_dataset: Dataset, name: str
) -> None:
    """Fused AdamW on a GPU reads its step counter there. "meta" stands for a GPU."""
    model = new_model(tiny_dataset)
    optimizer = make_optimizer(model, Schedule(optimizer=name))
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    state = {
        f"{kind}.{weight}": value
        for weight, parameter in model.named_parameters()
        for kind, value in optimizer.state[parameter].items()
    }
    assert state
    on_device = new_model(tiny_dataset).to("meta")
    restored = make_optimizer(on_device, Schedule(optimizer=name))
    restore_optimizer(on_device, restored, state)
    devices = {
        kind: value.device.type
        for parameter in on_device.parameters()
        for kind, value in restored.state[parameter].items()
    }
    assert set(devices) == {kind.partition(".")[0] for kind in state}
    assert set(devices.values()) == {"meta"}, devices
