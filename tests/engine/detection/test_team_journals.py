"""The journals of several processes: read by any number, removed by the first at the end."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from frcnn_cli.engine.detection.features.rows import (
    Block,
    FeatureJournal,
    Field,
    read_rows,
    row_path,
)
from frcnn_cli.engine.detection.journal import Journal
from frcnn_cli.engine.distributed.team import ALONE, Team
from frcnn_cli.engine.records import Detections
from frcnn_proposals.errors import InputError
from frcnn_proposals.locking import open_locked

FIELDS = {"boxes": Field(np.dtype("<f4"), (4,))}


class Rank(Team):
    """One process of a team whose others are the test itself, and never wait."""

    def of_first(self, value: Any) -> Any:
        return value

    @contextmanager
    def first_alone(self) -> Iterator[None]:
        yield


def found(score: float) -> Detections:
    return Detections(np.ones((1, 4), np.float32), np.array([score], np.float32), np.array([1]))


def leave(path: Path, world: int, images: int) -> None:
    """What a team leaves that was killed: image i, by the process i modulo `world`."""
    for rank in range(world):
        with Journal(path, {"model": "m"}, team=Rank(rank, world)) as journal:
            for image in range(rank, images, world):
                journal.add(f"{world}-{image}", "digest", found(image / 100))


def test_any_number_of_processes_knows_what_any_other_number_left(tmp_path: Path) -> None:
    path = tmp_path / "found.json.partial"
    for world, images in ((3, 7), (2, 4), (1, 2)):
        leave(path, world, images)
    ids = {
        f"{world}-{image}" for world, images in ((3, 7), (2, 4), (1, 2)) for image in range(images)
    }
    for team in (ALONE, Rank(0, 2), Rank(1, 2), Rank(4, 5)):
        with Journal(path, {"model": "m"}, team=team) as journal:
            assert len(journal) == len(ids)
            assert journal.finished() == ids
            known = journal.known("3-5", "digest")
            assert known is not None
            assert known.scores == np.float32(0.05)
    assert set(os.listdir(tmp_path)) == {
        "found.json.partial", "found.json.rank1.partial", "found.json.rank2.partial"
    }  # fmt: skip
    (tmp_path / "found.json.rank1.other").touch()
    (tmp_path / "another.json.rank1.partial").touch()
    for rank in (1, 0):
        journal = Journal(path, {"model": "m"}, team=Rank(rank, 2))
        journal.close()
    journal.remove()
    assert set(os.listdir(tmp_path)) == {"found.json.rank1.other", "another.json.rank1.partial"}


def test_each_version_of_an_image_is_known(tmp_path: Path) -> None:
    """A changed image can be in another file than its earlier version."""
    path = tmp_path / "j.partial"
    for rank, digest in ((1, "old"), (0, "new"), (2, "newest")):
        with Journal(path, {}, team=Rank(rank, 3)) as journal:
            journal.add("a", digest, found(rank / 10))
    with Journal(path, {}) as journal:
        assert len(journal) == 1
        scores = [journal.known("a", digest) for digest in ("old", "new", "newest")]
        assert [float(each.scores[0]) for each in scores if each] == pytest.approx([0.1, 0, 0.2])


def test_a_run_that_waited_keeps_the_journals_of_all_processes(tmp_path: Path) -> None:
    path = tmp_path / "j.partial"
    leave(path, 2, 4)
    journal = Journal(path, {"model": "m"})
    journal.close()
    with open_locked(path):  # another run
        journal.remove()
    assert len(os.listdir(tmp_path)) == 2
    journal.remove()
    assert os.listdir(tmp_path) == []


def test_processes_without_images_leave_no_file(tmp_path: Path) -> None:
    for rank in (0, 1):
        with Journal(tmp_path / "j.partial", {}, team=Rank(rank, 2)):
            pass
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("is_known", [True, False])
def test_files_of_the_others_are_removed_if_the_first_has_no_images(
    tmp_path: Path, is_known: bool
) -> None:
    """Its own file is the lock, which an empty journal removes when it is closed.

    is_known: whether the others finished their images in an earlier run.
    """
    path = tmp_path / "j.partial"
    first = None if is_known else Journal(path, {}, team=Rank(0, 2))
    with Journal(path, {}, team=Rank(1, 2)) as journal:
        journal.add("a", "digest", found(0.5))
    if first is None:
        first = Journal(path, {}, team=Rank(0, 2))
    assert len(first) == is_known
    first.close()
    with open_locked(path):  # another run
        first.remove()
    assert "j.rank1.partial" in os.listdir(tmp_path)
    path.unlink()
    first.remove()
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize("name", ["j.partial", "j.rank1.partial"])
def test_every_file_is_checked(name: str, tmp_path: Path) -> None:
    leave(tmp_path / "j.partial", 2, 2)
    for team in (ALONE, Rank(1, 2), Rank(2, 3)):
        with pytest.raises(InputError, match="differs in its model"):
            Journal(tmp_path / "j.partial", {"model": "other"}, team=team)
        assert set(os.listdir(tmp_path)) == {"j.partial", "j.rank1.partial"}
    lines = (tmp_path / name).read_text().splitlines()
    entry = json.loads(lines[1]) | {"image_id": ["a", "list"]}
    (tmp_path / name).write_text(f"{lines[0]}\n{json.dumps(entry)}\n")
    with pytest.raises(InputError, match=rf"{name}: the file is damaged"):
        Journal(tmp_path / "j.partial", {"model": "m"})
    (tmp_path / name).write_text("notes\n")
    with pytest.raises(InputError, match=rf"{name}: is not a journal of detections"):
        Journal(tmp_path / "j.partial", {"model": "m"})


def test_an_incomplete_line_of_another_process_stays_for_that_process(tmp_path: Path) -> None:
    path, other = tmp_path / "j.partial", tmp_path / "j.rank1.partial"
    leave(path, 2, 4)
    content = other.read_bytes()
    for size in (len(content) - 3, 20, 0):
        other.write_bytes(content[:size])
        with Journal(path, {"model": "m"}) as journal:
            assert len(journal) == (3 if size > 20 else 2)
        assert other.read_bytes() == content[:size]


def block(count: int, value: float) -> Block:
    return {"boxes": np.full((count, 4), value, np.float32)}


def test_rows_of_all_processes_are_found(tmp_path: Path) -> None:
    path = tmp_path / "a.npz.partial"
    for rank in (0, 1, 2):
        with FeatureJournal(path, {}, FIELDS, team=Rank(rank, 3)) as journal:
            for number in (rank, rank + 3):
                rows = journal.append([block(rank + 1, number)], (64, 48))
                journal.add(str(number), "digest", rows)
    os.truncate(row_path(tmp_path / "a.npz.rank2.partial", "boxes"), 4 * 16)  # 4 of its 6 rows
    with FeatureJournal(path, {}, FIELDS) as journal:
        assert journal.finished() == {"0", "1", "2", "3", "4"}
        for number in range(5):
            known = journal.known(str(number), "digest")
            assert known is not None
            values = list(read_rows(row_path(known.journal, "boxes"), FIELDS["boxes"], known))
            assert np.array_equal(np.concatenate(values), block(number % 3 + 1, number)["boxes"])
        journal.remove()
    assert os.listdir(tmp_path) == []
