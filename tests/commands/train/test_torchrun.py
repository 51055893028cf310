"""Processes started by torchrun: the same training as one process, and restarts after a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from team_processes import torchrun

from frcnn_cli.engine.datasets.find import find_dataset
from frcnn_cli.engine.datasets.generate.dataset import generate_dataset
from frcnn_cli.engine.proposals.run import propose_images
from frcnn_proposals.sources.dense import DenseBoxes
from frcnn_proposals.store.reader import open_store

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
PAIR = ("alone", "together")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images and their proposals."""
    folder = tmp_path_factory.mktemp("home")
    generate_dataset(folder / "shapes", images=12, size=(128, 96))
    images = find_dataset(str(folder / "shapes"), "trainval").images
    files = [(record.image_id, record.path) for record in images]
    propose_images(files, DenseBoxes(step=0.5), folder / "shapes.proposals", workers=0)
    return folder


def command(name: str, iterations: int, *more: str) -> list[str]:
    return [
        "-m", "frcnn_cli", "train", "shapes", "--proposals", "shapes.proposals", "--scale", "64",
        "--weights", "none", "--workers", "0", "--iterations", str(iterations),
        "--out", f"runs/{name}", *more,
    ]  # fmt: skip


def run(home: Path, arguments: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        arguments, cwd=home, env=ENVIRONMENT, capture_output=True, text=True, timeout=300
    )


def losses(home: Path, name: str) -> list[tuple[float, float]]:
    """The loss of classes, and that of boxes or of refined classifiers."""
    lines = (home / "runs" / name / "metrics.jsonl").read_text().splitlines()
    items = map(json.loads, lines)
    return [(item["classification"], item.get("box_regression", item.get("refinement")))
            for item in items]  # fmt: skip


PARTS = ("--variant", "cascade", "--variant", "ranked", "--set", "train.ranked_rois=40")
IMAGE_LABELS = ("--variant", "oicr", "--set", "train.proposals=60", "--precision", "float32")
ROI_CENTRIC = ("--sampling", "roi-centric", "--set", "sampling.rois_per_image=4")


@pytest.mark.parametrize(
    "sampling",
    [
        (),
        pytest.param(ROI_CENTRIC, marks=pytest.mark.long),
        pytest.param(PARTS, marks=pytest.mark.long),
        pytest.param(IMAGE_LABELS, marks=pytest.mark.long),
    ],
    ids=["images", "rois", "parts", "labels"],
)
def test_two_processes_train_as_one_and_only_the_first_prints(
    home: Path, sampling: tuple[str, ...]
) -> None:
    names = [f"{name}{len(''.join(sampling))}" for name in PAIR]
    alone = run(home, [sys.executable, *command(names[0], 5, *sampling)])
    assert alone.returncode == 0, alone.stderr
    together = run(home, [*torchrun(2), *command(names[1], 5, *sampling)])
    assert together.returncode == 0, together.stderr
    expected, found = (losses(home, name) for name in names)
    assert len(found) == 5
    for one, two in zip(expected, found, strict=True):
        assert two == pytest.approx(one, rel=2e-3)
    assert together.stdout.count("Model:") == 1
    assert together.stderr.count("in 2 processes") == 1
    assert "Warning" not in together.stderr


def test_an_uneven_split_is_rejected(home: Path) -> None:
    done = run(home, [*torchrun(2), *command("uneven", 5, "--set", "sampling.images=3")])
    assert done.returncode != 0
    assert done.stderr.count("2 processes cannot share 3 images") == 1


@pytest.mark.long
def test_evaluation_on_val_is_shared_by_processes(home: Path) -> None:
    more = ("--split", "train", "--eval-every", "3")
    scores = []
    for name, start in (("val-alone", [sys.executable]), ("val-together", torchrun(2))):
        done = run(home, [*start, *command(name, 6, *more)])
        assert done.returncode == 0, done.stderr
        assert done.stdout.count("Best on val:") == 1
        lines = (home / "runs" / name / "evaluations.jsonl").read_text().splitlines()
        scores.append([(line["iteration"], line["map"]) for line in map(json.loads, lines)])
    assert [iteration for iteration, _ in scores[0]] == [3, 6]
    assert scores[1] == [(step, pytest.approx(score, abs=0.02)) for step, score in scores[0]]


@pytest.mark.long
def test_a_killed_process_restarts_from_the_last_checkpoint(home: Path) -> None:
    more = ("--checkpoint-every", "5")
    arguments = [*torchrun(2, "--max-restarts", "1"), *command("killed", 30, *more)]
    child = subprocess.Popen(
        arguments, cwd=home, env=ENVIRONMENT | {"MARK": str(home)}, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    metrics = home / "runs" / "killed" / "metrics.jsonl"
    deadline = time.monotonic() + 200
    while not (metrics.is_file() and metrics.read_text().count("\n") >= 12):
        assert time.monotonic() < deadline
        time.sleep(0.05)
    os.kill(worker_of_rank(home, 1), signal.SIGKILL)
    _, stderr = child.communicate(timeout=400)
    assert child.returncode == 0, stderr
    assert "Resuming runs/killed after iteration" in stderr
    assert stderr.count("Another process") == 1
    assert "Traceback" not in stderr
    uninterrupted = run(home, [*torchrun(2), *command("uninterrupted", 30, *more)])
    assert uninterrupted.returncode == 0, uninterrupted.stderr
    assert losses(home, "killed") == losses(home, "uninterrupted")
    weights = [(home / "runs" / name / "model.safetensors") for name in ("killed", "uninterrupted")]
    one, other = (load_file(path) for path in weights)
    assert all(torch.equal(one[name], other[name]) for name in other)


@pytest.mark.long
def test_images_are_shared_and_results_gathered(home: Path) -> None:
    """Each image is used once with any number of processes: 3 images for 2, and 12 for 3."""
    trained = run(home, [sys.executable, *command("evaluated", 3)])
    assert trained.returncode == 0, trained.stderr
    images = sorted(str(path) for path in (home / "shapes").rglob("*.jpg"))[:12]
    evaluate = ("-m", "frcnn_cli", "eval", "runs/evaluated", "--source", "dense", "--json")
    detect = (
        "-m",
        "frcnn_cli",
        "detect",
        *images,
        "--source",
        "dense",
        "--model",
        "runs/evaluated",
        "--json",
    )
    propose = ("-m", "frcnn_cli", "propose", "shapes", "--source", "dense", "--out")
    for name, prefix in (("alone", [sys.executable]), ("together", None)):
        for arguments, file, processes in (
            (evaluate, "scores.json", 2), (detect, "found.json", 3), (propose, "boxes", 2)
        ):  # fmt: skip
            start = prefix or torchrun(processes)
            done = run(home, [*start, *arguments, f"{name}-{file}"])
            assert done.returncode == 0, done.stderr
    for file in ("scores.json", "found.json"):
        alone, together = (json.loads((home / f"{n}-{file}").read_text()) for n in PAIR)
        assert together == alone
    alone, together = (open_store(home / f"{name}-boxes") for name in PAIR)
    assert set(together.ids()) == set(alone.ids())
    assert all((together[i].boxes == alone[i].boxes).all() for i in alone.ids())
    assert not [path for path in home.iterdir() if "rank" in path.name or "partial" in path.name]


def worker_of_rank(mark: Path, rank: int) -> int:
    """The process id of the given rank; its environment contains the mark."""
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        try:
            environment = (entry / "environ").read_bytes().split(b"\0")
        except OSError:
            continue
        if {f"MARK={mark}".encode(), f"RANK={rank}".encode()} <= set(environment):
            return int(entry.name)
    raise AssertionError(f"no process of rank {rank}")
