"""A full disk and a read-only folder cause a message, and earlier results remain."""

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
# Outputs of each command; those of an earlier run must stay.
RESULTS = {
    "propose": ["x.proposals"],
    "train": ["runs/x/model.safetensors", "runs/x/metrics.jsonl", "runs/x/setting.toml"],
    "detect": ["x.json"],
    "compress": ["x-4.safetensors"],
}


def assert_rejected(outcome: Outcome) -> None:
    assert outcome.code in (1, 2), outcome
    assert not outcome.has_traceback, outcome.output
    assert 1 <= len(outcome.message.splitlines()) <= 3, outcome.output


@pytest.fixture
def mounted(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Yield a function that mounts a file system; skip if mounting is not allowed."""
    folder = tmp_path / "mounted"
    folder.mkdir()

    def mount(options: str) -> Path:
        mounting = subprocess.run([*MOUNT, options, "none", str(folder)], capture_output=True)
        if mounting.returncode != 0:
            pytest.skip("mounting a file system requires root and permission to mount")
        return folder

    yield mount
    subprocess.run(["umount", str(folder)], capture_output=True)


def at(home: Path, command: str, folder: Path) -> list[object]:
    """The command with its inputs in `home` and its outputs, named x, in `folder`."""
    inputs = ("shapes", "shapes/JPEGImages", "shapes.proposals", "model.safetensors")
    paths = {name: home / name for name in inputs}
    paths |= {name: folder / name for name in (*RESULTS[command], "runs/x", "x.pictures")}
    return [paths.get(str(argument), argument) for argument in CASES[command][0]("x")]


@pytest.mark.parametrize("command", CASES)
@pytest.mark.parametrize("bytes_left", [10, 3000, 60_000])
def test_a_file_size_limit(
    command: str, bytes_left: int, children: Children, home: Path, tmp_path: Path
) -> None:
    arguments = at(home, command, tmp_path)
    cache = str(home / "cache")
    outcome = children.run(arguments, tmp_path, largest_file=bytes_left, FRCNN_CACHE=cache)
    if outcome.code != 0:  # small results fit
        assert_rejected(outcome)
        assert str(tmp_path) in outcome.message
        assert not any((tmp_path / name).exists() for name in RESULTS[command][:1])
    outcome = children.run(arguments, tmp_path, FRCNN_CACHE=cache)
    assert outcome.code == 0, outcome.output


@pytest.mark.parametrize("command", CASES)
def test_a_full_disk(
    command: str, children: Children, home: Path, mounted: Callable[[str], Path]
) -> None:
    folder = mounted("size=64k")
    for number in range(16):  # earlier results that fill the disk
        try:
            (folder / f"earlier{number}").write_bytes(bytes(4096))
        except OSError:
            break
    before = {path: path.read_bytes() for path in folder.glob("earlier*")}
    outcome = children.run(at(home, command, folder), home, FRCNN_CACHE=str(home / "cache"))
    assert_rejected(outcome)
    assert str(folder) in outcome.message
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
    other = {"step=0.4": "step=0.6", "0": "0.01", "4": "3"}  # so that there is new output
    changed = [other.get(str(argument), argument) for argument in arguments]
    assert_rejected(children.run(changed, home, FRCNN_CACHE=str(home / "cache")))
    (folder / "filler").unlink()
    assert {name: contents(folder)[name] for name in before} == before


@pytest.mark.parametrize("command", CASES)
def test_a_read_only_folder(
    command: str, children: Children, home: Path, mounted: Callable[[str], Path]
) -> None:
    folder = mounted("size=600m")
    arguments, before = finished(children, home, command, folder)
    # With changed arguments, so that there is new output.
    changed = [str(a).replace("/x", "/y").replace("step=0.4", "step=0.6") for a in arguments]
    subprocess.run(["mount", "-o", "remount,ro", str(folder)], check=True)
    try:
        outcome = children.run(changed, home, FRCNN_CACHE=str(home / "cache"))
        assert_rejected(outcome)
        assert str(folder) in outcome.message
    finally:
        subprocess.run(["mount", "-o", "remount,rw", str(folder)], check=True)
    assert contents(folder) == before


def finished(
    children: Children, home: Path, command: str, folder: Path
) -> tuple[list[object], dict[str, bytes]]:
    """Run the command with its outputs in `folder`; return its arguments and the files."""
    arguments = at(home, command, folder)
    assert children.run(arguments, home, FRCNN_CACHE=str(home / "cache")).code == 0
    return arguments, contents(folder)


def fill(path: Path) -> None:
    """Write a file until the file system is full."""
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
    assert_rejected(outcome)
    assert "in-the-way" in outcome.message
    assert (tmp_path / "in-the-way").read_text() == "precious"
    assert os.listdir(tmp_path) == ["in-the-way"]
