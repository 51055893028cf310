"""Write a proposal store, image by image. Written images survive if the process is killed."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterable
from pathlib import Path

from frcnn_proposals.base import Proposals
from frcnn_proposals.checks import check_proposals
from frcnn_proposals.errors import InputError, reason
from frcnn_proposals.files import check_no_link
from frcnn_proposals.locking import Lock, OnWait
from frcnn_proposals.store.provenance import Provenance
from frcnn_proposals.store.schema import (
    check_tables,
    create_tables,
    damaged,
    harden,
    is_sqlite,
    open_read_only,
)

# Number of pages in the write-ahead log before it is written to the database.
_CHECKPOINT_PAGES = 10_000


def partial_path(path: Path) -> Path:
    """The name of a store until it is complete."""
    return path.with_name(path.name + ".partial")


def lock_store(path: Path, on_wait: OnWait | None = None) -> Lock:
    """Lock the store at `path` for writing; the file of the lock lies next to it.

    on_wait: called before waiting for another process; None does not wait. Raises InputError if
    another process is writing and on_wait is None, or if the lock cannot be created.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return Lock(path.with_name(f".{path.name}.lock"), on_wait)
    except BlockingIOError as error:
        raise InputError(
            f"{partial_path(path)}: another process is writing it; wait for it to end, or write "
            "to another file"
        ) from error
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({reason(error)})") from error


class StoreWriter:
    """Writes `<path>.partial`, and renames it to `path` when finish() is called.

    The .partial file of an interrupted writer is resumed if its provenance is the same and resume
    is True; otherwise it is started again. `seed` is a finished store whose rows are copied if
    there is nothing to resume. Raises InputError if another process is writing it.
    Use it as a context manager. On exit without finish() the .partial file is kept.
    """

    def __init__(
        self,
        path: Path,
        provenance: Provenance,
        *,
        seed: Path | None = None,
        resume: bool = True,
        lock: Lock | None = None,
    ) -> None:
        self.path = path
        self.partial = partial_path(path)
        self._lock = lock_store(path) if lock is None else lock
        try:
            self._connection = self._open()
            self._begin(provenance, seed, resume)
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

    def keep_only(self, image_ids: Iterable[str]) -> None:
        """Remove every image that is not among `image_ids`."""
        self._execute("CREATE TEMP TABLE remaining (id TEXT PRIMARY KEY) WITHOUT ROWID")
        for image_id in image_ids:
            self._execute("INSERT OR IGNORE INTO remaining VALUES (?)", image_id)
        for table in ("proposals", "failures"):
            self._execute(f"DELETE FROM {table} WHERE id NOT IN (SELECT id FROM remaining)")
        self._execute("DROP TABLE remaining")

    def sync(self) -> None:
        """Write everything to the disk, so that it survives a power failure."""
        self._execute("PRAGMA wal_checkpoint(TRUNCATE)")

    def finish(self) -> Path:
        """Rename the store to its final name. Nothing can be written afterwards."""
        self._execute("REPLACE INTO about SELECT 'images', cast(count(*) AS TEXT) FROM proposals")
        self.sync()
        self._execute("PRAGMA journal_mode = DELETE")
        self._connection.close()
        try:
            with open(self.partial, "rb+") as file:
                os.fsync(file.fileno())
            os.replace(self.partial, self.path)
        except OSError as error:
            raise self._failed(error) from error
        self._lock.release()
        return self.path

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

    def _begin(self, provenance: Provenance, seed: Path | None, resume: bool) -> None:
        self._execute("BEGIN IMMEDIATE")
        if self._execute("SELECT 1 FROM sqlite_master").fetchone() is None:
            create_tables(self._connection)
        check_tables(self._connection, self.partial)
        if not resume or not self._is_of(provenance):
            for table in ("about", "proposals", "failures"):
                self._execute(f"DELETE FROM {table}")
            self._execute("INSERT INTO about VALUES ('provenance', ?)", provenance.to_json())
        self._execute("COMMIT")
        if seed is not None and self.count() == 0:
            self._copy_from(seed)

    def _is_of(self, provenance: Provenance) -> bool:
        row = self._execute("SELECT value FROM about WHERE key = 'provenance'").fetchone()
        try:
            return Provenance.from_json(row[0]).fingerprint == provenance.fingerprint
        except (TypeError, ValueError):
            return False

    def _copy_from(self, seed: Path) -> None:
        open_read_only(seed).close()  # checks it
        self._execute("ATTACH ? AS seed", f"{seed.resolve().as_uri()}?mode=ro&immutable=1")
        self._execute("BEGIN")
        for table in ("proposals", "failures"):
            self._execute(f"INSERT INTO {table} SELECT * FROM seed.{table}")
        self._execute("COMMIT")
        self._execute("DETACH seed")

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
