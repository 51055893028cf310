"""A data set from the network, under its name only when all of it is there."""

from __future__ import annotations

import os
import shutil
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from frcnn_cli.engine.datasets.download.fetch import bytes_there, fetch
from frcnn_cli.engine.datasets.download.known import Download
from frcnn_cli.engine.datasets.download.transfer import Patience
from frcnn_cli.engine.datasets.readers.voc import VocLayout
from frcnn_proposals.errors import InputError, reason
from frcnn_proposals.files import sync_folder

_SPARE = 64 << 20  # bytes left free on the disk
DEVKIT = "VOCdevkit"


@dataclass(frozen=True)
class Place:
    """Where a data set goes. target: its own folder. archives: the folder of its archives."""

    target: Path
    archives: Path


def place_of(download: Download, root: Path) -> Place:
    """Under a folder of data sets, or beside VOC's other years where it is a VOCdevkit."""
    devkit = root if root.name == DEVKIT else root / DEVKIT
    return Place(devkit / download.folder, root / "downloads")


def is_there(download: Download, place: Place) -> bool:
    """Whether the data set is there already. Raises InputError where another thing is."""
    if not place.target.exists():
        return False
    missing = _missing_splits(download, place.target)
    if missing:
        raise InputError(
            f"{place.target}: is there, but without {', '.join(missing)}.\n"
            "Move it away, or name another folder with --data-root."
        )
    return True


def _missing_splits(download: Download, folder: Path) -> list[str]:
    there = VocLayout(folder).splits() if VocLayout.is_at(folder) else {}
    return [split for split in download.splits if split not in there]


def check_room(download: Download, place: Place) -> None:
    """Raises InputError where the disk has no room for archives and data set together."""
    folder = next(each for each in place.target.absolute().parents if each.exists())
    there = sum(bytes_there(archive, place.archives) for archive in download.archives)
    needed, free = 2 * download.size - there + _SPARE, shutil.disk_usage(folder).free
    if free < needed:
        raise InputError(
            f"{folder}: {download.name} needs {needed / 1e9:.1f} GB while it is unpacked, "
            f"{free / 1e9:.1f} GB are free.\n"
            "Make room, or name a folder on another disk with --data-root."
        )


def fetch_archives(
    download: Download,
    place: Place,
    mirrors: Sequence[str] = (),
    report: Callable[[int, str], None] = lambda done, name: None,
    patience: Patience | None = None,
) -> list[Path]:
    """All archives, each whole and checked. mirrors: in place of the data set's own.

    report: is told how many bytes of all archives are there, and the archive's name. Raises
    InputError as `fetch` does.
    """
    paths, before = [], 0
    for archive in download.archives:

        def report_all(done: int, before: int = before, name: str = archive.name) -> None:
            report(before + done, name)

        wanted = mirrors or download.mirrors
        paths.append(fetch(archive, place.archives, wanted, report_all, patience))
        before += archive.size
        report(before, archive.name)
    return paths


def unpack_archives(
    download: Download,
    place: Place,
    archives: Sequence[Path],
    report: Callable[[int], None] = lambda size: None,
) -> None:
    """Unpack beside the target, and give it its name when everything is there.

    Raises InputError as `unpack` does, or where the archives lack the data set. However it ends,
    nothing half unpacked stays.
    """
    staging = place.target.with_name(f".{place.target.name}.partial")
    shutil.rmtree(staging, ignore_errors=True)
    try:
        staging.mkdir(parents=True)
        for archive in archives:
            unpack(archive, staging, report)
        unpacked = staging / DEVKIT / download.folder
        if missing := _missing_splits(download, unpacked):
            names = ", ".join(str(path) for path in archives)
            raise InputError(f"{names}: has no {DEVKIT}/{download.folder} with {missing[0]}")
        os.sync()  # the files, before the folder has its name
        os.rename(unpacked, place.target)
        sync_folder(place.target.parent)
    finally:
        shutil.rmtree(staging, ignore_errors=True)


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
