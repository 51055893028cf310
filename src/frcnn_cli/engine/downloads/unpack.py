"""Unpacking a plain tar file: plain files and folders only, and only inside one folder."""

from __future__ import annotations

import shutil
import tarfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from frcnn_proposals.errors import InputError, reason

MAX_ENTRIES = 200_000  # VOC2012 has 40,000


def unpack(
    archive: Path,
    into: Path,
    report: Callable[[int], None] = lambda size: None,
    max_entries: int = MAX_ENTRIES,
) -> None:
    """Unpack into the folder `into`, which is new or holds nothing but what this has made.

    report: is told the size of each file, in bytes. Raises InputError, naming the entry, for a
    path that is absolute or has '..' in it, for links, devices and holes, for more entries or
    bytes than an archive of this length can honestly hold, and where it is damaged.
    """
    left = archive.stat().st_size
    try:
        with tarfile.open(archive, "r:") as tar:
            for count, entry in enumerate(tar, start=1):
                path = _inside(entry, archive)
                left -= entry.size
                if count > max_entries or left < 0:
                    raise InputError(f"{archive}: holds more than it can: it is not unpacked")
                _place(tar, entry, into / path)
                report(entry.size)
            _check_end(archive, tar.offset)
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise InputError(f"{archive}: is damaged ({reason(error)})") from error
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise InputError(f"{archive}: has a file where it has a folder, too") from error


def _inside(entry: tarfile.TarInfo, archive: Path) -> PurePosixPath:
    """The entry's path below the folder. Raises InputError unless it is a plain file or folder."""
    path = PurePosixPath(entry.name)
    if path.is_absolute() or ".." in path.parts or "\0" in entry.name:
        raise InputError(f"{archive}: {entry.name!r} leads out of its folder: it is not unpacked")
    if not (entry.isdir() or entry.isreg()) or entry.issparse() or entry.size < 0:
        raise InputError(
            f"{archive}: {entry.name!r} is neither a plain file nor a folder: it is not unpacked"
        )
    return path


def _check_end(archive: Path, end: int) -> None:
    """tarfile takes a header that it cannot read for the archive's end; that is a block of 0."""
    with open(archive, "rb") as file:
        file.seek(end)
        if file.read(tarfile.BLOCKSIZE).strip(b"\0"):
            raise tarfile.ReadError(f"no entry can be read at byte {end}")


def _place(tar: tarfile.TarFile, entry: tarfile.TarInfo, path: Path) -> None:
    if entry.isdir():
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    content = tar.extractfile(entry)
    assert content is not None
    with content, open(path, "wb") as file:
        shutil.copyfileobj(content, file)
