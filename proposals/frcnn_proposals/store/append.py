"""Add rows to a finished store in place, so that the work does not depend on the store's size.

If the process is killed, the store has all of the rows or none: SQLite's journal restores it.
Before the first byte is changed, the header of the file is marked. Readers use the journal of a
marked store only: a file from outside could come with one.
A process that reads the store has a lock on it. The rows are added to a copy then, which replaces
the store.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
from collections.abc import Sequence
from pathlib import Path

from frcnn_proposals.errors import InputError, reason
from frcnn_proposals.files import sync_folder
from frcnn_proposals.store.opening import journal_of, open_read_only
from frcnn_proposals.store.schema import damaged, harden, mark, remove_others


def append_rows(store: Path, added: Path, keep_only: Sequence[str] | None = None) -> None:
    """Replace the rows of `store` by those of the same images in the store `added`.

    keep_only: the images that remain; None for all. The caller holds the lock of the writer, and
    has closed its own connections to `store`. Raises InputError if `store` cannot be written; it
    is unchanged then.
    """
    open_read_only(store).close()  # restores it after an interrupted call
    try:
        # Left by a call that was interrupted once the store was complete, or while it was copied.
        journal_of(store).unlink(missing_ok=True)
        copy = store.resolve().with_name(f".{store.name}.copy")
        _remove(copy)
        with open(store, "rb") as file:
            if _locked(file.fileno()):
                _change(store, added, keep_only)
                return
        try:
            shutil.copyfile(store, copy)
            _change(copy, added, keep_only)
            os.replace(copy, store.resolve())
        finally:
            _remove(copy)
        sync_folder(store.resolve().parent)
    except (OSError, sqlite3.OperationalError) as error:
        raise InputError(f"{store}: cannot be written ({reason(error)})") from error
    except sqlite3.DatabaseError as error:
        raise damaged(store, error) from error


def _remove(copy: Path) -> None:
    """Remove a copy with its journal, which SQLite would use to change the next copy."""
    journal_of(copy).unlink(missing_ok=True)
    copy.unlink(missing_ok=True)


def _locked(handle: int) -> bool:
    """Whether no other process reads the file, and none can until it is closed."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _change(store: Path, added: Path, keep_only: Sequence[str] | None) -> None:
    uri = store.resolve().as_uri()
    connection = sqlite3.connect(f"{uri}?mode=rw", uri=True, isolation_level=None)
    try:
        harden(connection)
        connection.execute("PRAGMA journal_mode = DELETE")
        connection.execute(
            "ATTACH ? AS added", (f"{added.resolve().as_uri()}?mode=ro&immutable=1",)
        )
        try:
            mark(connection, changing=True)
            connection.execute("BEGIN IMMEDIATE")
            _replace_rows(connection, keep_only)
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
        finally:
            mark(connection, changing=False)
    finally:
        connection.close()


def _replace_rows(connection: sqlite3.Connection, keep_only: Sequence[str] | None) -> None:
    def changed(statement: str) -> int:
        return connection.execute(statement).rowcount

    (images,) = connection.execute(
        "SELECT cast(value AS INTEGER) FROM about WHERE key = 'images'"
    ).fetchone()
    for table in ("proposals", "failures"):
        images -= changed(f"DELETE FROM proposals WHERE id IN (SELECT id FROM added.{table})")
        connection.execute(f"DELETE FROM failures WHERE id IN (SELECT id FROM added.{table})")
    images += changed("INSERT INTO proposals SELECT * FROM added.proposals")
    connection.execute("INSERT INTO failures SELECT * FROM added.failures")
    if keep_only is not None:
        images -= remove_others(connection, keep_only)
    connection.execute("REPLACE INTO about VALUES ('images', ?)", (str(images),))
