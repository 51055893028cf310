"""Commands of one to three processes that are killed at random, and resumed by another number.

No image whose result is stored is computed again, the results are those of one process to the bit,
and no other file remains. FRCNN_SEED is the first seed, FRCNN_SEEDS their number.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from children import Children, Outcome

from frcnn_cli.engine.datasets.find import find_dataset

pytestmark = pytest.mark.hostile

FIRST = int(os.environ.get("FRCNN_SEED", 0))
SEEDS = range(FIRST, FIRST + int(os.environ.get("FRCNN_SEEDS", 5)))
# A process prepares one image per core ahead of the one in the network. A worker of `propose` may
# have finished one that its parent has not stored yet, and works on the next.
IN_PROGRESS = 2 + len(os.sched_getaffinity(0))

SOURCE = '''
import os, time, zlib
from frcnn_proposals.base import Proposals

class Counted:
    """Boxes that differ from image to image. It logs each call in the file COUNTED."""

    name, version, parameters = "counted", "1", {}
    thread_safe = True

    def propose(self, image):
        height, width = image.shape[:2]
        digest = zlib.crc32(image.tobytes())
        handle = os.open(os.environ["COUNTED"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        os.write(handle, b"%d\\n" % digest)
        os.close(handle)
        time.sleep(0.02)
        step = 3 + digest % 8
        return Proposals([(x, y, width - 1, height - 1) for x in range(0, width - 9, 9)
                          for y in range(0, height - 9, step)][:60])
'''


@pytest.fixture(scope="module")
def teams(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Children]:
    """Runs commands that know the source `counted`, as one of an installed package."""
    package = tmp_path_factory.mktemp("package")
    (package / "counted_source.py").write_text(SOURCE)
    metadata = package / "counted_source-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: counted-source\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text(
        "[frcnn.proposals]\ncounted = counted_source:Counted\n"
    )
    path = os.pathsep.join(filter(None, (str(package), os.environ.get("PYTHONPATH"))))
    children = Children(PYTHONPATH=path)
    yield children
    children.close()


MODEL = ("--model", "model.safetensors", "--source", "counted")
PHOTOS = "shapes/JPEGImages"
FEATURES = ("features", PHOTOS, *MODEL, "--boxes", "proposals", "--max-boxes", 20, "--out")
COMMANDS: dict[str, tuple[object, ...]] = {
    "boxes": ("propose", PHOTOS, "--source", "counted", "--workers", 1, "--out"),
    "found.json": ("detect", PHOTOS, *MODEL, "--score-threshold", 0, "--json"),
    "features.npz": FEATURES,
    "features": FEATURES,
    "evaluated.json": (
        *("eval", "model.safetensors", "shapes", "--split", "trainval", "--source", "counted"),
        "--save-detections",
    ),
}


def rows(store: Path) -> dict[str, tuple[Any, ...]]:
    """The rows of a store, finished or not, by image id, read from a copy without the toolkit."""
    with TemporaryDirectory() as folder, closing(_connect(store, Path(folder))) as connection:
        if not connection.execute("SELECT 1 FROM sqlite_master").fetchone():
            return {}
        found = connection.execute("SELECT id, digest, width, height, boxes, scores FROM proposals")
        return {image_id: tuple(row) for image_id, *row in found}


def _connect(store: Path, folder: Path) -> sqlite3.Connection:
    for suffix in ("", "-wal", "-journal"):
        if (file := store.with_name(store.name + suffix)).exists():
            shutil.copy(file, folder / f"copy{suffix}")
    return sqlite3.connect(folder / "copy")


def files(folder: Path) -> dict[str, Path]:
    return {str(path.relative_to(folder)): path for path in folder.rglob("*") if path.is_file()}


def journalled(folder: Path) -> list[str]:
    """The images in the journals of all processes, by reading their complete lines."""
    heads = b'{"format":"frcnn '
    contents = [path.read_bytes() for path in files(folder).values() if ".partial" in path.name]
    journals = [text for text in contents if text.startswith(heads)]
    return [json.loads(line)["image_id"] for text in journals for line in text.split(b"\n")[1:-1]]


def proposed(folder: Path) -> set[str]:
    """The images with boxes in the stores of all processes."""
    return {
        image_id
        for path in files(folder).values()
        if path.read_bytes().startswith(b"SQLite")
        for image_id in rows(path)
    }


def content(out: Path) -> object:
    """The results of a command."""
    if out.is_dir():
        return {name: path.read_bytes() for name, path in files(out).items()}
    return rows(out) if out.name == "boxes" else out.read_bytes()


class Rounds:
    """A command in a folder of its own, killed and resumed until it ends."""

    def __init__(self, teams: Children, home: Path, folder: Path, name: str) -> None:
        self.folder, self.name = folder, name
        self.out = folder / "work" / "out" / name
        self._teams, self._home = teams, home
        self._calls = 0
        self.folder.mkdir()

    @property
    def total(self) -> int:
        if self.name == "evaluated.json":
            return len(find_dataset(str(self._home / "shapes"), "trainval").images)
        return len(list((self._home / PHOTOS).iterdir()))

    def stored(self) -> int:
        """How many images need no boxes any more."""
        stores, journals = proposed(self.folder / "work"), journalled(self.folder / "work")
        assert len(journals) == len(set(journals)), "two processes computed the same image"
        return len(stores if self.name in ("boxes", "evaluated.json") else set(journals))

    def run(self, world: int, **limits: Any) -> tuple[list[Outcome], int]:
        """Run the command. Returns also how many images were computed."""
        self._calls += 1
        log = self.folder / f"counted{self._calls}"
        outcomes = self._teams.run_team(
            world, (*COMMANDS[self.name], self.out), self._home, COUNTED=str(log),
            FRCNN_CACHE=str(self.folder / "work" / "cache"), **limits,
        )  # fmt: skip
        for outcome in outcomes:
            assert not outcome.orphans
            assert not outcome.has_traceback, outcome.output
        computed = log.read_text().split() if log.exists() else []
        assert len(computed) == len(set(computed)), "two processes computed the same image"
        return outcomes, len(computed)


def limits_of(chance: random.Random, world: int, duration: float, size: int) -> dict[str, Any]:
    """What happens to a team: one process or all are killed, or the disk is full."""
    kind = chance.choice(("one", "all", "full"))
    if kind == "full":
        return {"largest_file": int(chance.uniform(500, 1.2 * size)), "seconds": 600}
    ranks: Sequence[int] = range(world) if kind == "all" else [chance.randrange(world)]
    return {"killed": list(ranks), "seconds": chance.uniform(0, duration)}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("name", COMMANDS)
def test_killed_at_random(
    name: str, seed: int, teams: Children, home: Path, tmp_path: Path
) -> None:
    chance = random.Random(f"{name} {seed}")
    whole = Rounds(teams, home, tmp_path / "whole", name)
    ((outcome,), computed) = whole.run(1)
    assert (outcome.code, computed) == (0, whole.total), outcome.output
    expected, remaining = content(whole.out), files(whole.folder / "work").keys()
    size = max(path.stat().st_size for path in files(whole.folder / "work").values())
    rounds, events, world = Rounds(teams, home, tmp_path / "killed", name), [], 0
    for _ in range(chance.randint(2, 5)):
        world = chance.choice([count for count in (1, 2, 3) if count != world])
        limits = limits_of(chance, world, 1.2 * outcome.seconds, size)
        before = rounds.stored()
        outcomes, computed = rounds.run(world, **limits)
        codes = [outcome.code for outcome in outcomes]
        events.append(f"{world} processes, {limits}: {codes}, {before} stored, {computed} computed")
        print(events[-1])
        # Killed after the results were complete: the journal is removed, so all is computed again.
        is_complete = rounds.out.exists() and content(rounds.out) == expected
        if is_complete:
            break
        assert any(codes), events
        assert 0 <= before + computed - rounds.stored() <= IN_PROGRESS * world, events
    before = rounds.stored()
    outcomes, computed = rounds.run(chance.choice([count for count in (1, 2, 3) if count != world]))
    assert not any(outcome.code for outcome in outcomes), (events, outcomes)
    assert is_complete or computed == rounds.total - before, (events, before, computed)
    assert content(rounds.out) == expected, events
    assert files(rounds.folder / "work").keys() == remaining, events
