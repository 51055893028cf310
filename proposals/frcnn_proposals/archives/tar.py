"""Tar archives of images, such as WebDataset shards, whose members are read where they are.

A member has the path ARCHIVE.tar/NAME. Nothing is extracted, so that names and links of a hostile
archive do no harm; members that are not plain files inside the archive are reported, not read.
"""

from __future__ import annotations

import os
import posixpath
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, NamedTuple

from frcnn_proposals.errors import InputError, reason
from frcnn_proposals.files import is_writable
from frcnn_proposals.reading import open_file
from frcnn_proposals.wording import counted, first_of

SUFFIX = ".tar"
_BLOCK = 512
_LONGEST_HEADER = 1 << 20  # bytes of the names and comments of one member
_NAMED = 3
_COMPRESSED = (b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd")


class Member(NamedTuple):
    """The bytes of a file in an archive."""

    offset: int
    size: int


@dataclass(frozen=True)
class Archive:
    """The files in an archive by name, in its order. problem: what cannot be read, and why."""

    members: Mapping[str, Member]
    problem: str | None = None


def is_archive(text: str | Path) -> bool:
    """Whether a path, or a pattern of paths, is that of a tar archive by its suffix."""
    return str(text).lower().endswith(SUFFIX)


def list_archive(path: str | Path) -> Archive:
    """The files in an archive. Raises InputError if there is no file that can be opened."""
    try:
        status = os.stat(path)
        return _listed(os.path.abspath(path), status.st_mtime_ns, status.st_size)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error})") from error


def read_member(path: str | Path, most: int) -> bytes | None:
    """Up to `most` bytes of the file ARCHIVE.tar/NAME; None if `path` is not one.

    Raises InputError for an archive with a problem that is read as an image; OSError if it cannot
    be read.
    """
    if SUFFIX not in str(path).lower():
        return None
    if is_archive(path) and Path(path).is_file():
        problem = list_archive(path).problem or "is an archive, not an image"
        raise InputError(f"{path}: {problem}")
    for parent in Path(path).parents:
        if is_archive(parent) and parent.is_file():
            name = Path(path).relative_to(parent).as_posix()
            member = list_archive(parent).members.get(name)
            if member is None:
                return None
            with open_file(parent) as file:
                file.seek(member.offset)
                return file.read(min(member.size, most))
    return None


@lru_cache(maxsize=16)
def _listed(path: str, changed: int, size: int) -> Archive:
    """The files in an archive. changed, size: of the archive, which may be replaced."""
    members: dict[str, Member] = {}
    rejected: list[str] = []
    problem = None
    with open_file(path) as file:
        try:
            with tarfile.open(fileobj=_Forward(file), mode="r:") as archive:  # type: ignore[call-overload]
                while (entry := archive.next()) is not None:
                    archive.members.clear()  # they would all be kept in memory
                    _take(entry, size, members, rejected)
                end = archive.offset
            problem = _end_problem(file, end)
        except (
            tarfile.TarError,
            ValueError,
            OverflowError,
            ArithmeticError,
            RecursionError,
        ) as error:
            problem = f"is damaged ({reason(error)})"
        if problem is not None and not members and not rejected:
            problem = f"is not a tar archive ({_kind(file)})"
        elif problem is not None:
            problem += f" after {counted(len(members), 'file')}"
    if rejected:
        not_read = f"has members that are not read: {first_of(rejected, _NAMED)}"
        problem = not_read if problem is None else f"{problem}, and {not_read}"
    return Archive(members, problem)


def _take(
    entry: tarfile.TarInfo, size: int, members: dict[str, Member], rejected: list[str]
) -> None:
    """Add an entry to the members, or to the rejected ones; folders are neither."""
    if entry.isdir():
        return
    name = posixpath.normpath(entry.name)
    if entry.issym() or entry.islnk():
        fault = "a link"
    elif not entry.isreg() or entry.sparse is not None:
        fault = "not a plain file"
    elif name.startswith(("/", "../")) or name == "..":
        fault = "outside the archive"
    elif not is_writable(name) or not name.isprintable():
        fault = "a name that cannot be written"
    elif entry.size < 0 or entry.offset_data + entry.size > size:
        fault = "truncated"
    elif name in members:
        fault = "a repeated name"
    else:
        members[name] = Member(entry.offset_data, entry.size)
        return
    rejected.append(f"{reason(ascii(entry.name))[:100]} ({fault})")


def _end_problem(file: BinaryIO, end: int) -> str | None:
    """What is wrong at the end of the entries, where a block of zeros has to be."""
    file.seek(end)
    block = file.read(_BLOCK)
    if block == bytes(_BLOCK):
        return None
    return "is truncated" if len(block) < _BLOCK else "is damaged"


def _kind(file: BinaryIO) -> str:
    file.seek(0)
    start = file.read(6)
    if not start:
        return "it is empty"
    is_compressed = start.startswith(_COMPRESSED)
    return "it is compressed: decompress it" if is_compressed else "another format, or damaged"


class _Forward:
    """A file whose headers are read in small steps and never backwards.

    So an archive that lies about its sizes takes neither memory nor endless time.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def tell(self) -> int:
        return self._file.tell()

    def seek(self, position: int, whence: int = 0) -> int:
        # tarfile reads the last byte before each header.
        if whence != 0 or position < self.tell() - 1:
            raise tarfile.ReadError("a size is wrong")
        return self._file.seek(position)

    def read(self, size: int) -> bytes:
        if not 0 <= size <= _LONGEST_HEADER:
            raise tarfile.ReadError("a size is wrong")
        return self._file.read(size)
