"""A store whose change was interrupted is restored by one process, and by no other."""

from __future__ import annotations

import contextlib
import functools
import os
import signal
import sqlite3
from pathlib import Path

import pytest
from killed_appends import (
    FORK,
    SOURCE,
    append_until,
    boxes,
    content,
    content_at,
    exit_code,
    write,
)

from frcnn_proposals.errors import InputError
from frcnn_proposals.store import opening, schema
from frcnn_proposals.store import writer as writer_module
from frcnn_proposals.store.append import append_rows
from frcnn_proposals.store.opening import journal_of
from frcnn_proposals.store.reader import open_store
from frcnn_proposals.store.schema import CHANGING_ID
from frcnn_proposals.store.writer import StoreWriter


@pytest.fixture
def torn(pair: tuple[Path, Path]) -> Path:
    """A store that was half changed when its process was killed."""
    store, added = pair
    before = store.read_bytes()
    for statement in range(1, 100):
        store.write_bytes(before)
        exit_code(functools.partial(append_until, statement, store, added))
        if journal_of(store).exists() and store.stat().st_size > len(before):
            return store
        content_at(store)  # restores it
    raise AssertionError("no statement leaves the store half changed")


@pytest.mark.parametrize("killed_at", ["rename", "removal of the journal"])
def test_a_killed_replacement_leaves_the_old_store_or_the_new_one(
    torn: Path, killed_at: str
) -> None:
    added = torn.parent / "added"

    def die(*_: object, **__: object) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def replace_store() -> None:
        with StoreWriter(torn, SOURCE) as writer:
            writer.add("new", boxes(3))
            if killed_at == "rename":
                writer_module.os.replace = die  # type: ignore[assignment]
            else:
                Path.unlink = die  # type: ignore[assignment,method-assign]
            writer.finish()

    assert exit_code(replace_store) == -signal.SIGKILL
    found = content_at(torn)
    if killed_at == "rename":
        assert len(found[0]) == found[2] == 200
    else:
        assert found == ({"new": [3] * 4}, [], 1)
    append_rows(torn, added)
    assert content_at(torn)[0]["new000"] == [0] * 4


def test_a_store_that_was_replaced_meanwhile_is_not_restored(
    torn: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal of the old store would change the new one."""
    new = write(torn.parent / "replacement", {f"x{number:03}": number for number in range(300)})
    expected = content_at(new)

    def is_changing(header: bytes) -> bool:
        if new.exists():
            os.replace(new, torn)
        return schema.is_changing(header)

    monkeypatch.setattr(opening, "is_changing", is_changing)
    assert content_at(torn) == expected


def test_two_processes_restore_a_store_and_both_read_it(torn: Path) -> None:
    """Neither waits until the other has closed the store."""
    both = FORK.Barrier(2, timeout=120)

    def read() -> None:
        seen = []

        def is_changing(header: bytes) -> bool:
            seen.append(schema.is_changing(header))
            if len(seen) == 1:
                both.wait()  # both have found it half changed
            return seen[-1]

        opening.is_changing = is_changing  # type: ignore[assignment]
        with contextlib.closing(open_store(torn)) as store:
            both.wait()
            assert content(store)[2] == 200

    readers = [FORK.Process(target=read) for _ in range(2)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join(60)
    assert [reader.exitcode for reader in readers] == [0, 0]


@pytest.mark.parametrize("size", [100, 1 << 40], ids=["small", "larger than the memory"])
def test_a_journal_that_names_other_files_is_rejected(pair: tuple[Path, Path], size: int) -> None:
    """SQLite would remove the file that it names."""
    store, _ = pair
    connection = sqlite3.connect(store)
    connection.execute(f"PRAGMA application_id = {CHANGING_ID}")
    connection.close()
    with open(journal_of(store), "wb") as file:
        file.seek(size)  # a hole, which takes no space on the disk
        file.write(b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7")
    with pytest.raises(InputError, match="names other files"):
        open_store(store)
    journal_of(store).unlink()
    assert len(open_store(store)) == 200
