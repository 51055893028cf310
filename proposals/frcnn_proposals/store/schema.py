"""The tables of a proposal store, and the checks before a file is read as a store.

A store is one SQLite file. `about` contains its provenance and its number of images. `proposals`
has one row per image with boxes, float32 little-endian (N, 4). `failures` has one row per image
without boxes, with the reason. Digests are SHA-256 of the image file's bytes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable
from pathlib import Path

from frcnn_proposals.errors import InputError, MisuseError, reason
from frcnn_proposals.reading import open_file

APPLICATION_ID = 0x46524350  # "FRCP", in the file's header
CHANGING_ID = 0x46524357  # "FRCW", while rows are written into the file
HEADER = 72  # bytes of the header that are read
VERSION = 1
TABLES = {
    "about": "CREATE TABLE about (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID",
    "proposals": (
        "CREATE TABLE proposals (id TEXT PRIMARY KEY, digest TEXT, width INTEGER, height INTEGER, "
        "boxes BLOB NOT NULL, scores BLOB)"
    ),
    "failures": (
        "CREATE TABLE failures (id TEXT PRIMARY KEY, digest TEXT, error TEXT NOT NULL) "
        "WITHOUT ROWID"
    ),
}
_LONGEST_VALUE = 1 << 28
_MAGIC = b"SQLite format 3\0"
_COMPLETE, _CHANGING = (number.to_bytes(4, "big") for number in (APPLICATION_ID, CHANGING_ID))
_OTHER_SUFFIXES = (".csv", ".json", ".mat", ".npz", ".pickle", ".pkl")


def is_store(path: str | Path) -> bool:
    """Whether the file has the header of a proposal store."""
    try:
        with open_file(path) as file:
            return has_store_header(file.read(HEADER))
    except OSError:
        return False


def has_store_header(header: bytes) -> bool:
    """Whether the first bytes of a file are those of a store, complete or being changed."""
    return header.startswith(_MAGIC) and header[68:72] in (_COMPLETE, _CHANGING)


def is_changing(header: bytes) -> bool:
    """Whether a store with this header is being changed in place, or its change was interrupted."""
    return header[68:72] == _CHANGING


def mark(connection: sqlite3.Connection, *, changing: bool) -> None:
    """Write into the header whether the store is being changed; nothing else is written then."""
    connection.execute(
        f"PRAGMA main.application_id = {CHANGING_ID if changing else APPLICATION_ID}"
    )


def check_store_name(path: Path) -> None:
    """Raise MisuseError for the suffix of another format, which would misname a store."""
    if path.suffix.lower() in _OTHER_SUFFIXES:
        raise MisuseError(
            f"{path}: this file would be a proposal store, not a {path.suffix} file.\n"
            "Choose another suffix, such as .proposals. `frcnn proposals convert --to FORMAT` "
            "writes other formats."
        )


def has_whole_length(header: bytes, size: int) -> bool:
    """Whether a file has the length in its header. (SQLite reads a missing end as zeros.)"""
    page_size = int.from_bytes(header[16:18], "big")
    pages = int.from_bytes(header[28:32], "big")
    return size == pages * (65536 if page_size == 1 else page_size)


def is_sqlite(path: Path) -> bool:
    """Whether the file is an SQLite database or empty."""
    with open_file(path) as file:
        return file.read(len(_MAGIC)) in (b"", _MAGIC)


def harden(connection: sqlite3.Connection) -> None:
    """Make SQLite distrust the schema of the file, and limit the length of a value."""
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST_VALUE)


def create_tables(connection: sqlite3.Connection) -> None:
    """Make an empty database a store without images. Raises sqlite3.Error if it cannot."""
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    connection.execute(f"PRAGMA user_version = {VERSION}")
    for statement in TABLES.values():
        connection.execute(statement)


def check_tables(connection: sqlite3.Connection, path: Path) -> None:
    """Raises InputError unless the file has exactly the tables of a store of this version."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if version != VERSION:
        raise InputError(
            f"{path}: is a proposal store of version {version}, but this program reads version "
            f"{VERSION}; upgrade frcnn or compute the proposals again"
        )
    found = connection.execute("SELECT type, name, sql FROM sqlite_master LIMIT 20").fetchall()
    tables = {name: sql for kind, name, sql in found if kind == "table"}
    automatic = [name for kind, name, sql in found if kind == "index" and sql is None]
    if tables != TABLES or len(found) != len(tables) + len(automatic):
        raise InputError(f"{path}: its tables are not those of a proposal store; it is not read")


def remove_others(connection: sqlite3.Connection, image_ids: Iterable[str]) -> int:
    """Remove every image of a store that is not among `image_ids`.

    Returns how many of them had boxes. Raises sqlite3.Error if the store cannot be changed.
    """
    connection.execute("CREATE TEMP TABLE remaining (id TEXT PRIMARY KEY) WITHOUT ROWID")
    rows = ((image_id,) for image_id in image_ids)
    connection.executemany("INSERT OR IGNORE INTO remaining VALUES (?)", rows)
    removed = [
        connection.execute(f"DELETE FROM {table} WHERE id NOT IN (SELECT id FROM remaining)")
        for table in ("proposals", "failures")
    ]
    connection.execute("DROP TABLE remaining")
    return removed[0].rowcount


def damaged(path: Path, error: Exception | str) -> InputError:
    """The error to raise if SQLite cannot read the file."""
    return InputError(
        f"{path}: is damaged ({reason(error)}); delete it and compute the proposals again"
    )
