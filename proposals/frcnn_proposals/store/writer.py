"""Write a proposal store, image by image. Written images survive if the process is killed."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import islice
from pathlib import Path

from frcnn_proposals.base import Proposals
from frcnn_proposals.checks import check_proposals
from frcnn_proposals.errors import InputError, reason
from frcnn_proposals.files import check_no_link
from frcnn_proposals.locking import Lock, OnWait, remove_unless_locked
from frcnn_proposals.store.opening import journal_of, kept_from_restoring
from frcnn_proposals.store.provenance import Provenance
from frcnn_proposals.store.reader import stored_proposals
from frcnn_proposals.store.schema import (
    check_tables,
    create_tables,
    damaged,
    harden,
    is_sqlite,
    remove_others,
)

# Number of pages in the write-ahead log before it is written to the database.
_CHECKPOINT_PAGES = 10_000


# Rows per transaction where many are written at once.
_BATCH = 1000


def in_batches(ids: Iterable[str]) -> Iterator[Sequence[str]]:
    """The ids in lists, each of which is written in one transaction."""
    remaining = iter(ids)
    while batch := list(islice(remaining, _BATCH)):
        yield batch


def partial_path(path: Path) -> Path:
    """The name of a store until it is complete."""
    return path.with_name(path.name + ".partial")


def _lock_path(path: Path) -> Path:
    return path.with_name(f".{path.name}.lock")


def remove_stale_lock(path: Path) -> None:
    """Remove the lock file of a process that was killed once the store was complete."""
    with suppress(OSError):
        remove_unless_locked(_lock_path(path))


def lock_store(path: Path, on_wait: OnWait | None = None) -> Lock:
    """Lock the store at `path` for writing; the file of the lock lies next to it.

    on_wait: called before waiting for another process; None does not wait. Raises InputError if
    another process is writing and on_wait is None, or if the lock cannot be created.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return Lock(_lock_path(path), on_wait)
    except BlockingIOError as error:
        raise InputError(
            f"{partial_path(path)}: another process is writing it; wait for it to end, or write "
            "to another file"
        ) from error
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({reason(error)})") from error


class StoreWriter:
    """Writes `<path>.partial`, and renames it to `path` when finish() is called.

    The .partial file of an interrupted writer is resumed if its provenance and its `work` are the
    same, and resume is True; otherwise it is started again. work: a text that identifies it, if
    the provenance alone does not. Raises InputError if another process is writing it.
    Use it as a context manager. On exit without finish() the .partial file is kept.
    """

    def __init__(
        self,
        path: Path,
        provenance: Provenance,
        *,
        work: str = "",
        resume: bool = True,
        lock: Lock | None = None,
    ) -> None:
        self.path = path
        self.partial = partial_path(path)
        self._lock = lock_store(path) if lock is None else lock
        try:
            self._connection = self._open()
            self._begin(provenance, work, resume)
        except (OSError, sqlite3.Error) as error:
            self._lock.release()
            raise self._failed(error) from error
        except BaseException:
            self._lock.release()
            raise

    def add(
        self,
        image_id: str,
        proposals: Proposals,
        *,
        digest: str | None = None,
        size: tuple[int, int] | None = None,
    ) -> None:
        """Write an image's boxes and replace earlier ones. size: (width, height) in pixels.

        Raises ValueError for a box that is not finite, is inverted, or is outside `size`.
        """
        width, height = size or (None, None)
        check_proposals(proposals, width, height)
        boxes = proposals.boxes.astype("<f4").tobytes()
        scores = None if proposals.scores is None else proposals.scores.astype("<f4").tobytes()
        self._execute("DELETE FROM failures WHERE id = ?", image_id)
        self._execute(
            "REPLACE INTO proposals (id, digest, width, height, boxes, scores) "
            "VALUES (?, ?, ?, ?, ?, ?)",
            *(image_id, digest, width, height, boxes, scores),
        )

    def add_failure(self, image_id: str, reason: str, *, digest: str | None = None) -> None:
        """Write the reason why an image has no boxes."""
        self._execute("DELETE FROM proposals WHERE id = ?", image_id)
        self._execute("REPLACE INTO failures VALUES (?, ?, ?)", image_id, digest, reason)

    def digest(self, image_id: str) -> str | None:
        """The digest stored with the image's boxes, or None."""
        row = self._execute("SELECT digest FROM proposals WHERE id = ?", image_id).fetchone()
        return None if row is None else row[0]

    def count(self) -> int:
        """Number of images in the store, with boxes or as failures."""
        query = "SELECT (SELECT count(*) FROM proposals) + (SELECT count(*) FROM failures)"
        return int(self._execute(query).fetchone()[0])

    def holds(self, image_id: str) -> bool:
        """Whether the image was written, with boxes or as a failure."""
        query = (
            "SELECT EXISTS (SELECT 1 FROM proposals WHERE id = ?1) "
            "OR EXISTS (SELECT 1 FROM failures WHERE id = ?1)"
        )
        return bool(self._execute(query, image_id).fetchone()[0])

    def has_only_failures(self) -> bool:
        """Whether images failed, and no other image was written."""
        query = "SELECT EXISTS (SELECT 1 FROM failures) > EXISTS (SELECT 1 FROM proposals)"
        return bool(self._execute(query).fetchone()[0])

    def proposals(self, image_id: str) -> Proposals | None:
        """The boxes written for the image, or None."""
        query = "SELECT boxes, scores FROM proposals WHERE id = ?"
        row = self._execute(query, image_id).fetchone()
        return None if row is None else stored_proposals(*row)

    @property
    def position(self) -> str:
        """The text that the last completed batch stored; empty at the start of the work."""
        row = self._execute("SELECT value FROM about WHERE key = 'position'").fetchone()
        return "" if row is None else str(row[0])

    @contextmanager
    def batch(self, position: str = "") -> Iterator[None]:
        """Write the rows of the block in one transaction, all of them or none.

        position: is stored with the rows, so that interrupted work can be resumed after them.
        """
        self._execute("BEGIN")
        try:
            yield
            self._execute("REPLACE INTO about VALUES ('position', ?)", position)
            self._execute("COMMIT")
        except BaseException:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            raise

    def keep_only(self, image_ids: Iterable[str]) -> None:
        """Remove every image that is not among `image_ids`."""
        try:
            remove_others(self._connection, image_ids)
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def sync(self) -> None:
        """Write everything to the disk, so that it survives a power failure."""
        self._execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def finish(self) -> Path:
        """Rename the store to its final name. Nothing can be written afterwards."""
        self.complete()
        try:
            with kept_from_restoring(self.path):
                os.replace(self.partial, self.path)
                # Of an earlier store of this name, in which adding rows was interrupted. That store
                # cannot be restored without it.
                journal_of(self.path).unlink(missing_ok=True)
        except OSError as error:
            raise self._failed(error) from error
        self._lock.release()
        return self.path

    def complete(self) -> None:
        """Make the .partial file a whole store. Nothing can be written afterwards."""
        self._execute("DELETE FROM about WHERE key != 'provenance'")
        self._execute("INSERT INTO about SELECT 'images', cast(count(*) AS TEXT) FROM proposals")
        self.sync()
        self._execute("PRAGMA journal_mode = DELETE")
        self._connection.close()
        try:
            with open(self.partial, "rb+") as file:
                os.fsync(file.fileno())
        except OSError as error:
            raise self._failed(error) from error

    def discard(self) -> None:
        """Remove the .partial file. Nothing can be written afterwards."""
        self._connection.close()
        self.partial.unlink()
        self._lock.release()

    def close(self) -> None:
        """Close the file and end the lock."""
        self._connection.close()
        self._lock.release()

    def __enter__(self) -> StoreWriter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _open(self) -> sqlite3.Connection:
        check_no_link(self.partial)
        if self.partial.exists() and not is_sqlite(self.partial):
            raise InputError(f"{self.partial}: exists and is not a proposal store; remove it")
        # Every statement is committed, so a killed process loses no finished one.
        connection = sqlite3.connect(
            self.partial.resolve().as_uri(), uri=True, isolation_level=None, timeout=0
        )
        harden(connection)
        # An exclusive write-ahead log needs no shared memory, so it also works on network drives.
        connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_CHECKPOINT_PAGES}")
        return connection

    def _begin(self, provenance: Provenance, work: str, resume: bool) -> None:
        self._execute("BEGIN IMMEDIATE")
        if self._execute("SELECT 1 FROM sqlite_master").fetchone() is None:
            create_tables(self._connection)
        check_tables(self._connection, self.partial)
        if not resume or not self._is_of(provenance, work):
            for table in ("about", "proposals", "failures"):
                self._execute(f"DELETE FROM {table}")
            self._execute("INSERT INTO about VALUES ('provenance', ?)", provenance.to_json())
            self._execute("INSERT INTO about VALUES ('work', ?)", work)
        self._execute("COMMIT")

    def _is_of(self, provenance: Provenance, work: str) -> bool:
        about = dict(self._execute("SELECT key, value FROM about").fetchall())
        try:
            same = Provenance.from_json(about["provenance"]).fingerprint == provenance.fingerprint
        except (KeyError, TypeError, ValueError):
            return False
        return same and about.get("work", "") == work

    def _execute(self, statement: str, *values: object) -> sqlite3.Cursor:
        try:
            return self._connection.execute(statement, values)
        except sqlite3.Error as error:
            raise self._failed(error) from error

    def _failed(self, error: OSError | sqlite3.Error) -> InputError:
        if "locked" in str(error):
            return InputError(
                f"{self.partial}: another process is writing this file; wait until it ends, or "
                "write to another file"
            )
        # OperationalError comes from the disk or the system; other errors mean a damaged file.
        if isinstance(error, OSError | sqlite3.OperationalError):
            return InputError(f"{self.partial}: cannot be written ({reason(error)})")
        return damaged(self.partial, error)
