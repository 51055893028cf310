"""Open a finished store for reading, so that it does not change while it is open.

A reader has a shared lock on the file. Rows are added in place only with an exclusive lock (see
append.py). If that was interrupted, the next reader restores the store.
"""

from __future__ import annotations

import fcntl
import os
import random
import sqlite3
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from frcnn_proposals.errors import InputError, reason
from frcnn_proposals.locking import is_named
from frcnn_proposals.reading import open_file
from frcnn_proposals.store.schema import (
    HEADER,
    check_tables,
    damaged,
    harden,
    has_store_header,
    has_whole_length,
    is_changing,
    mark,
)

# The end of a journal that names another one, which SQLite would delete.
_NAMES_ANOTHER = b"\xd9\xd5\x05\xf9\x20\xa1\x63\xd7"
_LONGEST_PAUSE = 0.05  # seconds until the next attempt to restore a store


@dataclass(frozen=True)
class OpenStore:
    """A connection to a store, and the file whose lock keeps the store as it is.

    Both are closed with this object: a connection of SQLite outlives its last use otherwise.
    """

    connection: sqlite3.Connection
    file: BinaryIO

    def close(self) -> None:
        self.connection.close()
        self.file.close()

    def __del__(self) -> None:
        with suppress(Exception):  # another thread cannot close the connection
            self.connection.close()
        self.file.close()


def open_read_only(path: Path) -> OpenStore:
    """A read-only connection to a store whose tables have been checked.

    The file is not mapped into memory. Mapping is not faster here, the pages would count as memory
    of this process, and truncating the open file would end the process with SIGBUS.

    Raises InputError if the file is missing, is not a store, or contains anything else, because a
    view or a trigger in a file from outside could run statements.
    """
    store = None
    while store is None:
        store = _opened(path)
    try:
        harden(store.connection)
        store.connection.execute("PRAGMA mmap_size = 0")
        check_tables(store.connection, path)
    except (sqlite3.Error, UnicodeDecodeError) as error:
        store.close()
        raise damaged(path, error) from error
    except InputError:
        store.close()
        raise
    return store


def _opened(path: Path) -> OpenStore | None:
    """The store; None if it was restored, or another file has taken the name meanwhile."""
    if not path.is_file():
        raise InputError(f"{path}: proposal store not found; create it with `frcnn propose`")
    with ExitStack() as unless_opened:
        try:
            file = unless_opened.enter_context(open_file(path))
            _lock(file, fcntl.LOCK_SH)
            header = os.pread(file.fileno(), HEADER, 0)
            if not has_store_header(header):
                raise InputError(f"{path}: is not a proposal store; see `frcnn proposals inspect`")
            if is_changing(header):
                _restore_alone(path, file)
                return None
            if not has_whole_length(header, os.fstat(file.fileno()).st_size):
                raise damaged(path, "it was truncated or has extra bytes at the end")
            # immutable: the file is complete, so SQLite takes no lock and ignores any journal.
            uri = f"{path.resolve().as_uri()}?mode=ro&immutable=1"
            connection = sqlite3.connect(uri, uri=True)
            if not is_named(file.fileno(), path, follow_symlinks=True):
                connection.close()
                return None
        except (OSError, sqlite3.OperationalError) as error:
            # Not damaged: a limit on open files, or permissions.
            raise InputError(f"{path}: cannot be read ({reason(error)})") from error
        unless_opened.pop_all()
    return OpenStore(connection, file)


def _lock(file: BinaryIO, kind: int) -> None:
    """Lock the file; waits for a process that adds rows. Some network drives have no locks."""
    with suppress(OSError):
        fcntl.flock(file, kind)


def _restore_alone(path: Path, file: BinaryIO) -> None:
    """Restore a store, unless another process reads it or does so."""
    try:
        # Without waiting: another process may have restored the store, and keep it open for days.
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        fcntl.flock(file, fcntl.LOCK_UN)  # so that one of two processes gets the lock
        time.sleep(random.uniform(0, _LONGEST_PAUSE))
        return
    except OSError:
        pass  # Some network drives have no locks.
    if is_named(file.fileno(), path, follow_symlinks=True) and is_changing(
        os.pread(file.fileno(), HEADER, 0)
    ):
        restore(path)


@contextmanager
def kept_from_restoring(path: Path) -> Iterator[None]:
    """No process restores a store at `path` in the block, which can replace it and its journal."""
    with ExitStack() as held:
        with suppress(OSError):
            _lock(held.enter_context(open_file(path)), fcntl.LOCK_SH)
        yield


def restore(path: Path) -> None:
    """Undo an interrupted change of a store by SQLite's journal, and mark the store as complete.

    If the change was complete, there is no journal, and it stays. Raises InputError if the file
    cannot be written.
    """
    journal = journal_of(path)
    if journal.is_file() and _end(journal) == _NAMES_ANOTHER:
        raise damaged(path, "its journal names other files")
    try:
        connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=rw", uri=True)
        try:
            harden(connection)
            mark(connection, changing=False)
        finally:
            connection.close()
    except sqlite3.OperationalError as error:
        raise InputError(
            f"{path}: adding images to it was interrupted, and it cannot be written to undo that "
            f"({reason(error)})"
        ) from error
    except sqlite3.Error as error:
        raise damaged(path, error) from error


def _end(journal: Path) -> bytes:
    """The last 8 bytes; a journal can be as large as its store."""
    with open_file(journal) as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - 8))
        return file.read(8)


def journal_of(path: Path) -> Path:
    """SQLite's file with the old content of a database that is being changed."""
    real = path.resolve()
    return real.with_name(f"{real.name}-journal")
