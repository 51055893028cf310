"""Training in a child process that is stopped by signals, a closed terminal or a full disk.

The resumed run ends with the same weights as an uninterrupted run, to the bit.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import pty
import resource
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from frcnn_cli.commands.shared import interrupt
from frcnn_cli.engine.datasets.find import find_dataset
from frcnn_cli.engine.datasets.generate.dataset import generate_dataset
from frcnn_cli.engine.models.store import load_model
from frcnn_cli.engine.proposals.run import propose_images
from frcnn_cli.engine.training.checkpoint import load_checkpoint
from frcnn_proposals.sources.dense import DenseBoxes

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
ITERATIONS, CHECKPOINT_EVERY = 60, 10


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    generate_dataset(folder / "shapes", images=12, size=(128, 96))
    images = find_dataset(str(folder / "shapes"), "trainval").images
    files = [(record.image_id, record.path) for record in images]
    propose_images(files, DenseBoxes(step=0.5), folder / "shapes.proposals", workers=0)
    return folder


@pytest.fixture(scope="module")
def whole(home: Path) -> Path:
    """The folder of an uninterrupted run."""
    finish(start(home, "whole"))
    return home / "runs" / "whole"


# Kills itself after the third iteration, however fast it is and however busy the machine.
KILLED = """
import os, signal
from frcnn_cli.cli import main
from frcnn_cli.engine.training.loop import Recorder

record = Recorder.record

def record_and_die(self, iteration, *others):
    record(self, iteration, *others)
    if iteration == 3:
        os.kill(os.getpid(), signal.SIGKILL)

Recorder.record = record_and_die
main()
"""
COMMAND = ("-m", "frcnn_cli.cli")


def train(
    home: Path,
    *arguments: object,
    largest_file: int | None = None,
    program: tuple[str, str] = COMMAND,
) -> subprocess.Popen[str]:
    def limit() -> None:
        if largest_file is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, largest_file))

    return subprocess.Popen(
        [sys.executable, *program, "train", *map(str, arguments)],
        cwd=home,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        preexec_fn=limit,
    )


def start(
    home: Path, name: str, *more: object, workers: int = 1, program: tuple[str, str] = COMMAND
) -> subprocess.Popen[str]:
    return train(
        home, "shapes", "--proposals", "shapes.proposals", "--scale", 64, "--weights", "none",
        "--iterations", ITERATIONS, "--checkpoint-every", CHECKPOINT_EVERY,
        "--out", f"runs/{name}", "--workers", workers, *more, program=program,
    )  # fmt: skip


def finish(child: subprocess.Popen[str], code: int = 0) -> str:
    output, _ = child.communicate(timeout=600)
    assert child.returncode == code, output
    assert "Traceback" not in output
    wait_for(lambda: not living_members(child.pid), 60)
    return output


def stop_after(
    child: subprocess.Popen[str], folder: Path, iteration: int, number: signal.Signals
) -> str:
    """Send a signal to the child's process group after an iteration; returns its output."""
    wait_for(reaches(iteration, folder))
    if number is signal.SIGKILL:
        child.kill()
        return finish(child, -signal.SIGKILL)
    os.killpg(child.pid, number)  # as a terminal and service managers do
    return finish(child, 130)


def reaches(iteration: int, folder: Path) -> Callable[[], bool]:
    """A condition: the run that starts now has recorded an iteration.

    The run replaces the file first; until then it may hold later steps of the run before.
    """
    metrics = folder / "metrics.jsonl"

    def inode() -> int:
        return metrics.stat().st_ino if metrics.exists() else 0

    earlier = inode()
    return lambda: inode() != earlier and iteration in losses(folder)


def close_terminal_after(home: Path, folder: Path, iteration: int) -> float:
    """Resume a run in a terminal, and close the terminal once an iteration is done.

    Returns how many seconds later the run ended.
    """
    reached = reaches(iteration, folder)
    master, terminal = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, *COMMAND, "train", "--resume", str(folder)],
        cwd=home,
        env=ENVIRONMENT,
        stdin=terminal,
        stdout=terminal,
        stderr=terminal,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
    )
    os.close(terminal)
    os.set_blocking(master, False)

    def is_due() -> bool:
        with contextlib.suppress(BlockingIOError):
            os.read(master, 1 << 16)  # a terminal that nobody reads stops the one who writes
        return reached()

    wait_for(is_due)
    closed = time.monotonic()
    os.close(master)
    assert child.wait(timeout=60) == 130
    return time.monotonic() - closed


def wait_for(condition: Callable[[], bool], seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "timeout"
        time.sleep(0.01)


def losses(folder: Path) -> dict[int, float]:
    """The loss by iteration; asserts that each iteration occurs once."""
    path = folder / "metrics.jsonl"
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    found = [json.loads(line) for line in lines if line.endswith("\n")]
    assert len({row["iteration"] for row in found}) == len(found)
    return {row["iteration"]: row["loss"] for row in found}


def checkpointed(folder: Path) -> int:
    return load_checkpoint(folder)[2].iteration


def living_members(session: int) -> list[int]:
    """The running processes of a session, without zombies."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except OSError:
                continue
            if int(fields[3]) == session and fields[0] != "Z":
                found.append(int(entry.name))
    return found


def assert_same_end(folder: Path, whole: Path) -> None:
    first, second = (
        load_model(path / "model.safetensors")[0].state_dict() for path in (folder, whole)
    )
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert losses(folder) == losses(whole)


def test_a_run_resumed_after_every_kind_of_stop_ends_identically(home: Path, whole: Path) -> None:
    folder = home / "runs" / "stopped"

    # Killed before the first checkpoint: it restarts.
    finish(start(home, "stopped", program=("-c", KILLED)), -signal.SIGKILL)
    assert max(losses(folder)) == 3
    assert not (folder / "checkpoint.safetensors").exists()
    (folder / ".checkpoint.safetensors.abc.partial").write_bytes(b"half")

    # Ctrl-C: the step is finished and saved, no worker is left, and the message says how to resume.
    child = train(home, "--resume", "runs/stopped")
    output = stop_after(child, folder, CHECKPOINT_EVERY + 3, signal.SIGINT)
    assert "has no checkpoint yet: starting from the first iteration" in output
    assert not (folder / "model.safetensors").exists()
    if "step is discarded" not in output:  # as on a machine where the step takes seconds
        assert "Resume with `frcnn train --resume runs/stopped`." in output
        assert checkpointed(folder) == max(losses(folder)) > CHECKPOINT_EVERY + 2
        assert not list(folder.glob(".*.partial"))

    # SIGTERM has the same effect as Ctrl-C, here within the same interval between checkpoints.
    at = checkpointed(folder)
    output = stop_after(train(home, "--resume", "runs/stopped"), folder, at + 4, signal.SIGTERM)
    if "step is discarded" not in output:
        assert "Resume with `frcnn train --resume runs/stopped`." in output
        assert checkpointed(folder) == max(losses(folder)) > at

    # A closed terminal sends SIGHUP, and nothing can be written to it any more.
    at = checkpointed(folder)
    if close_terminal_after(home, folder, at + 3) < interrupt.SECONDS:  # else it is discarded
        assert checkpointed(folder) == max(losses(folder)) > at

    # Killed, with a truncated line of losses: at most the work since a checkpoint is lost.
    at = checkpointed(folder)
    child = train(home, "--resume", "runs/stopped")
    stop_after(child, folder, at + CHECKPOINT_EVERY + 2, signal.SIGKILL)
    assert max(losses(folder)) - checkpointed(folder) <= CHECKPOINT_EVERY
    with (folder / "metrics.jsonl").open("a") as metrics:
        metrics.write('{"iteration": 9')

    finish(train(home, "--resume", "runs/stopped"))
    assert_same_end(folder, whole)


@pytest.mark.long
@pytest.mark.parametrize("iteration", range(1, 40, 9))
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_stopped_at_any_iteration(
    home: Path, whole: Path, iteration: int, number: signal.Signals
) -> None:
    name = f"{number.name}-{iteration}"
    stop_after(start(home, name), home / "runs" / name, iteration, number)
    finish(train(home, "--resume", f"runs/{name}"))
    assert_same_end(home / "runs" / name, whole)


@pytest.mark.long
@pytest.mark.parametrize("seconds", [2, 4, 5, 6, 7, 8, 9, 10])
def test_killed_at_any_moment(home: Path, whole: Path, seconds: float) -> None:
    """Killed after a time: while it imports, reads, builds, trains or writes."""
    child = start(home, f"moment-{seconds}")
    time.sleep(seconds)
    child.kill()
    child.communicate(timeout=120)
    folder = home / "runs" / f"moment-{seconds}"
    if not (folder / "setting.toml").exists():  # it had not started: run the same command again
        finish(start(home, f"moment-{seconds}"))
    else:
        finish(train(home, "--resume", folder))
    assert_same_end(folder, whole)


@pytest.mark.long
@pytest.mark.parametrize("workers", [0, 2])
def test_the_number_of_workers_changes_nothing(home: Path, whole: Path, workers: int) -> None:
    finish(start(home, f"workers-{workers}", workers=workers))
    assert_same_end(home / "runs" / f"workers-{workers}", whole)


@pytest.mark.long
@pytest.mark.parametrize("variant", ["stagewise", "no-bbox-reg", "fc-only", "svm", "oicr"])
def test_variants_resume_exactly(home: Path, variant: str) -> None:
    # The SVMs need not fit well.
    more = ["--set", "svm.iterations=20"] if variant == "svm" else []
    finish(start(home, f"whole-{variant}", "--variant", variant, *more))
    folder = home / "runs" / f"killed-{variant}"
    stop_after(start(home, folder.name, "--variant", variant, *more), folder, 23, signal.SIGKILL)
    finish(train(home, "--resume", folder))
    assert_same_end(folder, home / "runs" / f"whole-{variant}")


@pytest.mark.long
def test_a_full_file_system_keeps_the_last_checkpoint(home: Path, whole: Path) -> None:
    folder = home / "runs" / "full"
    stop_after(start(home, "full"), folder, CHECKPOINT_EVERY + 1, signal.SIGKILL)
    before = checkpointed(folder)
    size = (folder / "checkpoint.safetensors").stat().st_size
    output = finish(train(home, "--resume", folder, largest_file=size // 2), 1)
    assert "Free disk space, then resume with `frcnn train --resume" in output
    assert checkpointed(folder) == before
    assert not list(folder.glob(".*.partial"))
    finish(train(home, "--resume", folder))
    assert_same_end(folder, whole)
