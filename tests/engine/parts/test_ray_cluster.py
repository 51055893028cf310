"""`--engine ray` on a cluster of this machine; a worker that is killed costs its part alone."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
import torch

from frcnn_cli.engine.datasets.generate.dataset import generate_dataset
from frcnn_cli.engine.models.store import save_model
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.parts.folder import open_folder
from frcnn_cli.engine.parts.ray_cluster import _causes_raised, write_parts_on_ray
from frcnn_cli.engine.parts.rows import Item
from frcnn_cli.engine.settings import Architecture, Preprocessing
from frcnn_proposals.errors import InputError
from frcnn_proposals.formats.parts.about import About, part_files
from frcnn_proposals.formats.parts.row import Row

ray = pytest.importorskip("ray")
psutil = pytest.importorskip("psutil")
# One thread per process, for equal bits.
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with images, one of which cannot be read, and an untrained model."""
    folder = tmp_path_factory.mktemp("home")
    generate_dataset(folder / "shapes", images=12, size=(128, 96))
    (folder / "shapes/JPEGImages/000007.jpg").write_bytes(b"nothing")
    torch.manual_seed(0)
    small = Preprocessing(scale=64, max_size=120)
    model = FastRCNN(Architecture("efficientnet_lite0", ("cat", "dog"), (16, 16), small))
    save_model(model, folder / "model.safetensors", {})
    return folder


def start(home: Path, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "frcnn_cli", *words],
        cwd=home,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


DETECT = ("detect", "shapes/JPEGImages", "--model", "model.safetensors", "--score-threshold",
          "0.1", "--part-size", "2", "--parts")  # fmt: skip
PROPOSE = ("propose", "shapes/JPEGImages", "--part-size", "5", "--format", "parquet", "--parts")


def test_a_killed_worker_costs_its_part_alone(home: Path) -> None:
    alone = start(home, *DETECT, "alone")
    assert "000007.jpg: cannot be read" in alone.communicate()[0]
    child = start(home, *DETECT, "out", "--engine", "ray", "--workers", "1")
    killed = False
    while child.poll() is None and not killed:
        time.sleep(0.02)
        if len(part_files(home / "out")) >= 2:
            workers = [
                process
                for process in psutil.Process(child.pid).children(recursive=True)
                if "MapWorker" in process.name() or "MapWorker" in " ".join(process.cmdline())
            ]
            killed = bool(workers)
            for worker in workers:
                worker.kill()
    before = {path: path.stat().st_mtime_ns for path in part_files(home / "out")}
    output = child.communicate()[0]
    assert killed, output
    assert child.returncode == 1, output  # of the image that cannot be read
    assert "000007.jpg: cannot be read" in output
    assert "12 images in 6 parts (0 already written)" in " ".join(output.split())
    assert contents(home / "out") == contents(home / "alone")
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_finished_parts_are_skipped(home: Path) -> None:
    assert start(home, *PROPOSE, "alone-boxes").communicate()[0]
    words = (*PROPOSE, "boxes", "--engine", "ray", "--workers", "2")
    assert "12 images in 3 parts (0 already" in " ".join(
        start(home, *words).communicate()[0].split()
    )
    assert contents(home / "boxes") == contents(home / "alone-boxes")
    part_files(home / "boxes")[1].unlink()
    again = " ".join(start(home, *words).communicate()[0].split())
    assert "5 images in 1 part (2 already written)" in again
    assert contents(home / "boxes") == contents(home / "alone-boxes")


class Dying:
    """A function that ends its process, and records each try."""

    def __init__(self, log: str) -> None:
        self.log = log

    def rows(self, items: Iterable[Item], threads: int | None = None) -> Iterator[Row]:
        with open(self.log, "a") as file:
            file.write(json.dumps([item.name for item in items]) + "\n")
        os._exit(1)
        yield Row("")


def test_a_worker_that_dies_every_time_ends_the_work(tmp_path: Path) -> None:
    ray.cloudpickle.register_pickle_by_value(sys.modules[__name__])
    items = [Item("a", "a.jpg")]
    folder = open_folder(tmp_path / "out", About("proposals", {}), items, "jsonl")
    with pytest.raises(InputError, match="Finished parts are saved"):
        write_parts_on_ray(Dying(str(tmp_path / "log")), folder, "")
    tries = (tmp_path / "log").read_text().splitlines()
    assert 2 <= len(tries) <= 5
    assert part_files(tmp_path / "out") == []


def test_an_address_without_a_cluster(tmp_path: Path) -> None:
    folder = open_folder(tmp_path / "out", About("proposals", {}), [Item("a", "a.jpg")], "jsonl")
    with pytest.raises(InputError, match=r"No Ray cluster at 127\.0\.0\.1:1 "):
        write_parts_on_ray(Dying(""), folder, "", address="127.0.0.1:1")


def test_the_error_of_a_worker_is_that_of_the_command() -> None:
    exceptions = pytest.importorskip("ray.exceptions")
    raised = exceptions.RayTaskError("f", "a long traceback", InputError("a: disk full"))
    outer = exceptions.RayTaskError("g", "another one", raised.as_instanceof_cause())
    for error in (raised, raised.as_instanceof_cause(), outer):
        with pytest.raises(InputError) as caught, _causes_raised():
            raise error
        assert type(caught.value) is InputError
        assert str(caught.value) == "a: disk full"
    with pytest.raises(InputError, match="run the same command to resume"), _causes_raised():
        raise exceptions.ActorDiedError
