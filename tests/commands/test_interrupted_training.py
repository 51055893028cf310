"""Training in a child process that is really stopped: by Ctrl-C, and by SIGKILL."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from frcnn_cli.engine.datasets import find_dataset, generate_dataset
from frcnn_cli.engine.models import load_model
from frcnn_cli.engine.proposing.run import propose_images
from frcnn_proposals.dense import DenseBoxes

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("home")
    generate_dataset(folder / "shapes", images=12, size=(128, 96))
    images = find_dataset(str(folder / "shapes"), "trainval").images
    files = [(record.image_id, record.path) for record in images]
    propose_images(files, DenseBoxes(step=0.5), folder / "shapes.proposals", workers=0)
    return folder


def train(home: Path, *arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "frcnn_cli.cli", "train", *map(str, arguments)]
    return subprocess.Popen(
        command,
        cwd=home,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def start(home: Path, name: str, iterations: int) -> subprocess.Popen[str]:
    return train(
        home, "shapes", "--proposals", "shapes.proposals", "--scale", 64, "--weights", "none",
        "--iterations", iterations, "--checkpoint-every", 5, "--out", f"runs/{name}",
        "--workers", 1,
    )  # fmt: skip


def wait_for(condition: Callable[[], bool], seconds: float = 90) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def has_losses(home: Path, name: str, count: int) -> Callable[[], bool]:
    metrics = home / "runs" / name / "metrics.jsonl"
    return lambda: metrics.exists() and metrics.read_text().count("\n") >= count


def living_members(session: int) -> list[int]:
    """Processes of a session that still run (zombies do not)."""
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


def test_ctrl_c_ends_with_130_and_leaves_no_worker(home: Path) -> None:
    child = start(home, "interrupted", 100_000)
    wait_for(has_losses(home, "interrupted", 6))
    os.killpg(child.pid, signal.SIGINT)  # as a terminal does: to all of the group
    output, _ = child.communicate(timeout=20)
    assert child.returncode == 130, output
    assert "Traceback" not in output
    wait_for(lambda: not living_members(child.pid), 10)
    assert (home / "runs" / "interrupted" / "checkpoint.safetensors").is_file()
    assert not (home / "runs" / "interrupted" / "model.safetensors").exists()


def test_killed_and_resumed_a_run_ends_with_the_same_weights(home: Path) -> None:
    child = start(home, "killed", 24)
    wait_for(has_losses(home, "killed", 12))
    child.kill()
    child.communicate(timeout=20)
    wait_for(lambda: not living_members(child.pid), 20)
    for process in (train(home, "--resume", "runs/killed"), start(home, "whole", 24)):
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0, output
    killed, whole = (
        load_model(home / "runs" / name / "model.safetensors")[0].state_dict()
        for name in ("killed", "whole")
    )
    assert all(torch.equal(killed[name], whole[name]) for name in whole)
