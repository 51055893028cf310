"""Rows are added to a finished store in place, completely or not at all, whatever happens."""

from __future__ import annotations

import functools
import os
import signal
import sqlite3
from pathlib import Path

import pytest
from killed_appends import (
    SOURCE,
    append_until,
    boxes,
    content,
    content_at,
    exit_code,
    expected_of,
    write,
)
from slopes import slope

from frcnn_proposals.errors import InputError
from frcnn_proposals.store import append
from frcnn_proposals.store.append import append_rows
from frcnn_proposals.store.destination import Destination
from frcnn_proposals.store.opening import journal_of
from frcnn_proposals.store.reader import open_store


def test_rows_are_added_in_place(pair: tuple[Path, Path]) -> None:
    store, added = pair
    expected, inode = expected_of(pair), store.stat().st_ino
    append_rows(store, added)
    assert content_at(store) == expected
    assert store.stat().st_ino == inode
    assert sorted(path.name for path in store.parent.iterdir()) == ["added", "store"]


def test_other_images_are_removed(pair: tuple[Path, Path]) -> None:
    store, added = pair
    append_rows(store, added, ["old001", "new001", "worse", "unknown"])
    assert content_at(store) == ({"new001": [1] * 4, "old001": [1] * 4}, [("worse", "why")], 2)


def test_a_killed_process_leaves_all_rows_or_none(pair: tuple[Path, Path], tmp_path: Path) -> None:
    """Killed before each statement; some of these find the file half changed."""
    store, added = pair
    old, new = content_at(store), expected_of(pair)
    before, states, torn = store.read_bytes(), [], 0
    for statement in range(1, 100):
        path = tmp_path / str(statement)
        path.write_bytes(before)
        code = exit_code(functools.partial(append_until, statement, path, added))
        assert code in (0, -signal.SIGKILL)
        torn += journal_of(path).exists() and path.stat().st_size > len(before)
        found = content_at(path)
        assert found in (old, new)
        states.append(found == new)
        append_rows(path, added)
        assert content_at(path) == new
        assert not journal_of(path).exists()
        if code == 0:
            break
    assert states == sorted(states)
    assert states.count(True) >= 2
    assert torn >= 2


def test_a_killed_destination_is_resumed(tmp_path: Path) -> None:
    """Killed when the rows are in the store, and still in the file of new rows."""
    store = write(tmp_path / "s", {"a": 1})

    def add() -> None:
        append.mark = lambda *_, **__: None  # type: ignore[assignment]
        with Destination(store, SOURCE) as destination:
            destination.add("b", boxes(2), "2", None)
            Path.unlink = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore
            destination.finish(None)

    assert exit_code(add) == -signal.SIGKILL
    with Destination(store, SOURCE) as destination:
        assert (destination.digest("a"), destination.digest("b")) == ("1", "2")
        destination.finish(["a", "b"])
    assert content_at(store) == ({"a": [1] * 4, "b": [2] * 4}, [], 2)
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_the_bytes_written_do_not_depend_on_the_size_of_the_store(tmp_path: Path) -> None:
    written = []
    for images in (100, 1500):
        store = write(tmp_path / str(images), {f"{number:04}": number for number in range(images)})
        before = bytes_written()
        with Destination(store, SOURCE) as destination:
            destination.add("new", boxes(1), "d", None)
            destination.finish(None)
        written.append((images, bytes_written() - before))
        assert len(open_store(store)) == images + 1
    assert slope(*written) < 8  # an image has 830 bytes here


def bytes_written() -> int:
    counts = dict(line.split(": ") for line in Path("/proc/self/io").read_text().splitlines())
    return int(counts["wchar"])


def test_a_reader_keeps_the_rows_that_it_has_opened(pair: tuple[Path, Path]) -> None:
    store, added = pair
    reader, new = open_store(store), expected_of(pair)
    old = content(reader)
    append_rows(store, added)
    assert content(reader) == old
    assert content_at(store) == new
    assert sorted(path.name for path in store.parent.iterdir()) == ["added", "store"]


def test_a_killed_copy_does_not_change_a_later_one(pair: tuple[Path, Path], tmp_path: Path) -> None:
    """Killed before each statement, while a reader makes it work on a copy of the store."""
    store, added = pair
    new, before, left = expected_of(pair), store.read_bytes(), 0
    other = write(tmp_path / "other", {f"x{number:03}": number for number in range(300)})
    both = ({**new[0], **content_at(other)[0]}, new[1], new[2] + 300)
    for statement in range(1, 100):
        path = tmp_path / str(statement)
        path.write_bytes(before)
        reader = open_store(path)
        code = exit_code(functools.partial(append_until, statement, path, added))
        reader.close()
        left += journal_of(tmp_path / f".{statement}.copy").exists()
        append_rows(path, other)  # in place: it needs no copy
        assert not list(tmp_path.glob(".*"))
        reader = open_store(path)
        append_rows(path, added)
        assert content_at(path) == both
        reader.close()
        assert not list(tmp_path.glob(".*"))
        if code == 0:
            break
    assert left >= 2


def test_a_closed_reader_finds_the_rows_that_were_added_meanwhile(pair: tuple[Path, Path]) -> None:
    store, added = pair
    reader, new = open_store(store), expected_of(pair)
    assert len(reader) == 200
    reader.close()
    append_rows(store, added)
    assert content(reader) == new


def test_a_full_disk_leaves_the_store_as_it_was(pair: tuple[Path, Path]) -> None:
    store, added = pair
    old, limit = content_at(store), store.stat().st_size + 10_000

    def add() -> None:
        import resource

        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        with pytest.raises(InputError, match="store: cannot be written"):
            append_rows(store, added)

    assert exit_code(add) == 0
    assert content_at(store) == old
    append_rows(store, added)
    assert content_at(store)[2] == 300


def test_a_journal_beside_a_complete_store_is_removed_and_not_used(
    pair: tuple[Path, Path],
) -> None:
    store, added = pair
    new = expected_of(pair)
    # A valid journal: it would write the first pages of another store back into this one.
    other = write(store.parent / "other", {"x": 1})
    connection = sqlite3.connect(other, isolation_level=None)
    connection.execute("PRAGMA cache_size = 1")
    connection.execute("BEGIN")
    connection.execute("UPDATE proposals SET boxes = zeroblob(200000)")
    journal = journal_of(other).read_bytes()
    connection.close()
    assert len(journal) > 512
    journal_of(store).write_bytes(journal)
    assert content_at(store)[2] == 200
    append_rows(store, added)
    assert content_at(store) == new
