"""A full disk and a folder that nothing can be written to: a message, and earlier results stay."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from children import Children, Outcome
from test_killed_anywhere import CASES

pytestmark = pytest.mark.hostile

MOUNT = "mount", "-t", "tmpfs", "-o"
# Outputs of each command: what an earlier run left there has to stay.
RESULTS = {
    "propose": ["x.proposals"],
    "train": ["runs/x/model.safetensors", "runs/x/metrics.jsonl", "runs/x/setting.toml"],
    "detect": ["x.json"],
    "compress": ["x-4.safetensors"],
}


def refused(outcome: Outcome) -> None:
    assert outcome.code in (1, 2), outcome
    assert "Traceback" not in outcome.output, outcome.output
    assert 1 <= len(outcome.message.splitlines()) <= 3, outcome.output


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a file system of its own; skipped where that is not allowed."""
    folder = tmp_path / "mounted"
    folder.mkdir()

    def mount(options: str) -> Path:
        made = subprocess.run([*MOUNT, options, "none", str(folder)], capture_output=True)
        if made.returncode != 0:
            pytest.skip("mounting a file system needs to be root, with the right to mount")
        return folder

    yield mount
    subprocess.run(["umount", str(folder)], capture_output=True)


def at(home: Path, command: str, folder: Path) -> list[object]:
    """The command with its inputs at home and its outputs, called x, in `folder`."""
    arguments = CASES[command][0]("x")
    inputs = ("shapes", "shapes/JPEGImages", "shapes.proposals", "model.safetensors")
    outputs = [*RESULTS[command], "runs/x", "x.pictures"]
    return [
        home / str(each) if each in inputs else folder / str(each) if each in outputs else each
        for each in arguments
    ]


@pytest.mark.parametrize("command", CASES)
@pytest.mark.parametrize("bytes_left", [3000, 60_000])
def test_a_file_size_limit(
    command: str, bytes_left: int, children: Children, home: Path, tmp_path: Path
) -> None:
    arguments = at(home, command, tmp_path)
    cache = str(home / "cache")
    outcome = children.run(arguments, tmp_path, largest_file=bytes_left, FRCNN_CACHE=cache)
    if outcome.code != 0:  # what fits is written
        refused(outcome)
        assert not any((tmp_path / name).exists() for name in RESULTS[command][:1])
    outcome = children.run(arguments, tmp_path, FRCNN_CACHE=cache)
    assert outcome.code == 0, outcome.output


@pytest.mark.parametrize("command", CASES)
def test_a_full_disk(
    command: str, children: Children, home: Path, mounted: Callable[[str], Path]
) -> None:
    folder = mounted("size=64k")
    for number in range(16):  # an earlier result, and no room beside it
        try:
            (folder / f"earlier{number}").write_bytes(bytes(4096))
        except OSError:
            break
    before = {path: path.read_bytes() for path in folder.glob("earlier*")}
    outcome = children.run(at(home, command, folder), home, FRCNN_CACHE=str(home / "cache"))
    refused(outcome)
    assert {path: path.read_bytes() for path in folder.glob("earlier*")} == before
    assert not any((folder / name).exists() for name in RESULTS[command][:1])


@pytest.mark.parametrize("command", CASES)
def test_earlier_results_stay_if_there_is_no_space_to_replace_them(
    command: str, children: Children, home: Path, mounted: Callable[[str], Path]
) -> None:
    folder = mounted("size=600m")
    arguments, before = finished(children, home, command, folder)
    assert set(RESULTS[command]) <= set(before)
    with pytest.raises(OSError, match="No space"):
        fill(folder / "filler")
    other = {"step=0.4": "step=0.6", "0": "0.01", "4": "3"}  # so that there is something to write
    again = [other.get(str(each), each) for each in arguments]
    refused(children.run(again, home, FRCNN_CACHE=str(home / "cache")))
    (folder / "filler").unlink()
    assert {name: contents(folder)[name] for name in before} == before


@pytest.mark.parametrize("command", CASES)
def test_a_read_only_folder(
    command: str, children: Children, home: Path, mounted: Callable[[str], Path]
) -> None:
    folder = mounted("size=600m")
    arguments, before = finished(children, home, command, folder)
    # As changed work, so that there is something to write.
    again = [str(each).replace("/x", "/y").replace("step=0.4", "step=0.6") for each in arguments]
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    try:
        outcome = children.run(again, home, FRCNN_CACHE=str(home / "cache"))
        refused(outcome)
        assert str(folder) in outcome.message
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(folder)], check=True)
    assert contents(folder) == before


def finished(
    children: Children, home: Path, command: str, folder: Path
) -> tuple[list[object], dict[str, bytes]]:
    """The command, done with its outputs in `folder`, and what it has left there."""
    arguments = at(home, command, folder)
    assert children.run(arguments, home, FRCNN_CACHE=str(home / "cache")).code == 0
    return arguments, contents(folder)


def fill(path: Path) -> None:
    """A file that grows as far as its file system does."""
    with open(path, "wb", buffering=0) as file:
        while True:
            file.write(bytes(1 << 16))


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize("command", CASES)
def test_a_file_in_place_of_a_folder(
    command: str, children: Children, home: Path, tmp_path: Path
) -> None:
    (tmp_path / "in-the-way").write_text("precious")
    folder = tmp_path / "in-the-way" / "deeper"
    outcome = children.run(at(home, command, folder), home, FRCNN_CACHE=str(home / "cache"))
    refused(outcome)
    assert "in-the-way" in outcome.message
    assert (tmp_path / "in-the-way").read_text() == "precious"
    assert os.listdir(tmp_path) == ["in-the-way"]
