"""Work of several processes that are killed: any other number resumes it, to the same bits."""

from __future__ import annotations

import json
import os
import re
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import torch
from called import frcnn as command
from numbered_parts import equal
from team_processes import PROGRAM, start_team, torchrun

import frcnn
from frcnn_cli.engine.datasets.find import find_dataset
from frcnn_cli.engine.datasets.generate.dataset import generate_dataset
from frcnn_cli.engine.models.store import save_model
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.settings import Architecture, Preprocessing
from frcnn_proposals.formats.parts.about import part_files
from frcnn_proposals.formats.parts.files import read_part
from frcnn_proposals.store.reader import open_store

IMAGES = 16
NAMES = {f"{number:06}" for number in range(1, IMAGES + 1)}
PHOTOS = "shapes/JPEGImages"
MODEL = ("--model", "model.safetensors", "--source", "dense")
DETECT = ("detect", PHOTOS, *MODEL, "--score-threshold", 0, "--json")
FEATURES = ("features", PHOTOS, *MODEL, "--boxes", "proposals", "--max-boxes", 20, "--out")
EVALUATE = ("eval", "model.safetensors", "shapes", "--split", "trainval", "--source", "dense",
            "--save-detections")  # fmt: skip
COMMANDS = {
    "found.json": DETECT,
    "features.npz": FEATURES,
    "folder": FEATURES,
    "all.json": EVALUATE,
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a dataset and an untrained model of its classes."""
    folder = tmp_path_factory.mktemp("home")
    generate_dataset(folder / "shapes", images=IMAGES, size=(96, 64))
    classes = find_dataset(str(folder / "shapes"), "trainval").classes
    torch.manual_seed(0)
    small = Preprocessing(scale=64, max_size=100)
    model = FastRCNN(Architecture("efficientnet_lite0", classes, (16, 16), small))
    save_model(model, folder / "model.safetensors", {})
    return folder


@pytest.fixture(autouse=True)
def at_home(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Commands of this process run in the folder, with as many threads as those of a team."""
    monkeypatch.chdir(home)
    monkeypatch.setenv("FRCNN_CACHE", str(tmp_path / "cache"))
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def run(*arguments: object) -> str:
    result = command(*arguments)
    assert result.exit_code == 0, result.output
    return result.output


def rows(store: Path) -> dict[str, tuple[Any, ...]]:
    """The rows of a store that is finished or not, read without the toolkit, by image id."""
    with closing(sqlite3.connect(store)) as connection:
        found = connection.execute("SELECT id, digest, width, height, boxes, scores FROM proposals")
        return {image_id: tuple(row) for image_id, *row in found}


def stored(folder: Path) -> set[str]:
    """The images in the unfinished files of a folder, read without the toolkit."""
    found: set[str] = set()
    for path in folder.rglob("*"):
        if not re.search(r"\.(partial|rank\d+)$", path.name):
            continue
        if path.read_bytes().startswith(b"SQLite"):
            found |= rows(path).keys()
        else:
            lines = path.read_bytes().split(b"\n")[1:-1]
            found |= {json.loads(line)["image_id"] for line in lines}
    return found


def contents(path: Path) -> Any:
    if path.is_dir():
        return {file.name: file.read_bytes() for file in path.iterdir()}
    return path.read_bytes()


def trainval() -> set[str]:
    return {record.image_id for record in find_dataset("shapes", "trainval").images}


def leftovers(folder: Path) -> list[str]:
    names = (path.name for path in folder.rglob("*"))
    return [name for name in names if "rank" in name or "partial" in name]


def test_proposals_of_a_killed_process_are_not_computed_again(home: Path, tmp_path: Path) -> None:
    out = tmp_path / "boxes"
    killed = start_team(2, home, "propose", PHOTOS, out, seconds=0.5)
    killed.kill((1,), images=4)
    before = stored(tmp_path)
    # The other process ends its own part first.
    assert IMAGES // 2 <= len(before) < IMAGES
    assert not out.exists()
    result = frcnn.propose(PHOTOS, out, source="dense", workers=0)
    assert (result.computed, result.reused) == (IMAGES - len(before), len(before))
    frcnn.propose(PHOTOS, tmp_path / "whole", source="dense", workers=0)
    assert rows(out) == rows(tmp_path / "whole")
    # The same command again.
    again = start_team(2, home, "propose", PHOTOS, out)
    again.finish()
    assert again.computed() == []
    assert leftovers(tmp_path) == []
    assert len(open_store(out)) == IMAGES


def test_a_full_disk_at_the_end_costs_nothing(home: Path, tmp_path: Path) -> None:
    """The first process cannot write the results; the others have ended by then."""
    run(*DETECT, tmp_path / "whole.json")
    size, out = (tmp_path / "whole.json").stat().st_size, tmp_path / "found.json"
    full = start_team(2, home, *DETECT, out, most=size // 2)
    assert f"{out}: cannot be written" in full.output()
    assert full.processes[0].returncode != 0
    assert sorted(full.computed()) == sorted(NAMES)
    assert stored(tmp_path) == NAMES
    assert f"{IMAGES} images are done" in run(*DETECT, out)
    assert out.read_bytes() == (tmp_path / "whole.json").read_bytes()
    assert leftovers(tmp_path) == []


def test_a_bad_image_in_parts_does_not_end_the_other_process(home: Path, tmp_path: Path) -> None:
    shutil.copytree(home / PHOTOS, tmp_path / "photos")
    (tmp_path / "photos/000001.jpg").write_bytes(b"nothing")
    arguments = ("detect", tmp_path / "photos", *MODEL, "--part-size", 4, "--parts", tmp_path / "p")
    team = start_team(2, home, *arguments)
    output = team.output()
    assert f"Results of {IMAGES} images in 4 parts (0 already written)" in output
    assert output.count("000001.jpg: cannot be read") == 1
    assert [process.returncode for process in team.processes] == [1, 0]
    assert len(part_files(tmp_path / "p")) == 4


def test_evaluation_in_parts_with_proposals_in_parts(home: Path, tmp_path: Path) -> None:
    split = ("shapes", "--split", "trainval", "--part-size")
    run("propose", *split, 5, "--source", "dense", "--parts", tmp_path / "boxes")
    evaluate = ("eval", "model.safetensors", *split, 3, "--parts")
    given = ("--proposals", tmp_path / "boxes")
    run(*evaluate, tmp_path / "alone", *given)
    team = start_team(2, home, *evaluate, tmp_path / "team", *given)
    images, parts = len(trainval()), len(part_files(tmp_path / "alone"))
    assert f"Results of {images} images in {parts} parts (0 already" in team.finish()
    assert parts > 2
    assert contents(tmp_path / "team") == contents(tmp_path / "alone")
    run(*evaluate, tmp_path / "computed", "--source", "dense")
    found, computed = (
        [row for path in part_files(tmp_path / name) for row in read_part(path)]
        for name in ("alone", "computed")
    )
    assert len(found) == len(computed) == images
    assert all(map(equal, found, computed))


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "ranks"),
    [
        ("found.json", (0,)),
        ("found.json", (0, 1, 2)),
        ("features.npz", (2,)),
        ("folder", (0, 1, 2)),
        ("all.json", (1,)),
    ],
)
def test_three_processes_are_killed_and_resumed_by_two(
    name: str, ranks: tuple[int, ...], home: Path, tmp_path: Path
) -> None:
    arguments, out = COMMANDS[name], tmp_path / "out" / name
    run(*arguments, tmp_path / "whole" / name)
    killed = start_team(3, home, *arguments, out, seconds=0.5)
    killed.kill(ranks, images=3)
    before = stored(tmp_path)
    assert 3 <= len(before) < IMAGES
    resumed = start_team(2, home, *arguments, out)
    assert f"{len(before)} images are done" in resumed.finish()
    # Each of the others once, by whichever process.
    names = trainval() if name == "all.json" else NAMES
    assert sorted(resumed.computed()) == sorted(names - before)
    assert contents(out) == contents(tmp_path / "whole" / name)
    assert leftovers(tmp_path) == []


@pytest.mark.long
@pytest.mark.parametrize("ranks", [(0,), (0, 1, 2)])
def test_proposals_of_three_processes_are_resumed_by_two(
    ranks: tuple[int, ...], home: Path, tmp_path: Path
) -> None:
    out = tmp_path / "boxes"
    start_team(3, home, "propose", PHOTOS, out, seconds=0.5).kill(ranks, images=6)
    before = stored(tmp_path)
    assert 3 <= len(before) < IMAGES
    resumed = start_team(2, home, "propose", PHOTOS, out)
    resumed.finish()
    assert sorted(resumed.computed()) == sorted(NAMES - before)
    frcnn.propose(PHOTOS, tmp_path / "whole", source="dense", workers=0)
    assert rows(out) == rows(tmp_path / "whole")
    assert leftovers(tmp_path) == []


@pytest.mark.long
@pytest.mark.parametrize(("arguments", "rank"), [(("propose", PHOTOS), 1), (DETECT, 0)])
def test_torchrun_resumes_after_a_process_was_killed(
    arguments: tuple[object, ...], rank: int, home: Path, tmp_path: Path
) -> None:
    program, log, out = tmp_path / "program.py", tmp_path / "log", tmp_path / "out"
    program.write_text(PROGRAM)
    done = subprocess.run(
        [*torchrun(2, "--max-restarts", "1", str(program)), *map(str, (*arguments, out))],
        env={**os.environ, "OMP_NUM_THREADS": "1", "DIES": str(rank), "SECONDS": "0.2",
             "COMPUTED": str(log)},
        capture_output=True, text=True, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    computed = log.read_text().split()
    assert set(computed) == NAMES
    assert len(computed) <= IMAGES + 2  # one in progress in each process
    if arguments[0] == "propose":
        frcnn.propose(PHOTOS, tmp_path / "whole", source="dense", workers=0)
        assert rows(out) == rows(tmp_path / "whole")
    else:
        run(*arguments, tmp_path / "whole")
        assert out.read_bytes() == (tmp_path / "whole").read_bytes()
    assert leftovers(tmp_path) == []
