"""Download a dataset; its folder gets its name when it is complete."""

from __future__ import annotations

import os
import shutil
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from frcnn_cli.engine.datasets.download.fetch import bytes_there, fetch_archives
from frcnn_cli.engine.datasets.download.known import DOWNLOADS, Download
from frcnn_cli.engine.datasets.download.transfer import Patience
from frcnn_cli.engine.datasets.locate import data_roots
from frcnn_cli.engine.datasets.readers.voc import VocLayout
from frcnn_cli.engine.reporter import SILENT, Reporter
from frcnn_proposals.errors import InputError, MisuseError, reason
from frcnn_proposals.files import sync_folder

_SPARE = 64 << 20  # bytes left free on the disk
DEVKIT = "VOCdevkit"


@dataclass(frozen=True)
class DownloadFolders:
    """target: the dataset's own folder. archives: the folder of its archives."""

    target: Path
    archives: Path


@dataclass(frozen=True)
class DownloadedDataset:
    """folder: where the dataset is. existed: whether it was complete before the call."""

    folder: Path
    existed: bool


def download_dataset(
    name: str,
    data_root: Path | None = None,
    mirrors: Sequence[str] = (),
    keep_archives: bool = False,
    patience: Patience | None = None,
    reporter: Reporter = SILENT,
) -> DownloadedDataset:
    """Fetch the archives of one of DOWNLOADS, check and unpack them.

    data_root: None is the first of $FRCNN_DATA and ./data. mirrors: addresses of folders with the
    archives, in place of the known ones. patience: how long to wait for servers. An interrupted
    download is resumed. Raises MisuseError for a mirror that is not an address, InputError where
    the disk is too small, an archive cannot be fetched or is damaged, or the folder holds
    something else.
    """
    for mirror in mirrors:
        if not mirror.startswith(("http://", "https://")):
            raise MisuseError(f"--mirror {mirror}: give an address that begins with https://.")
    download = DOWNLOADS[name]
    folders = folders_of(download, data_roots(data_root)[0])
    if is_complete(download, folders):
        return DownloadedDataset(folders.target, existed=True)
    check_disk_space(download, folders)
    archives = _fetch(download, folders, mirrors, patience, reporter)
    with reporter.progress("Unpacking", download.size, unit="bytes") as advance:
        unpack_archives(download, folders, archives, lambda size: advance(size, ""))
    if not keep_archives:
        for archive in archives:
            archive.unlink()
        if not any(folders.archives.iterdir()):
            folders.archives.rmdir()
    return DownloadedDataset(folders.target, existed=False)


def _fetch(
    download: Download,
    folders: DownloadFolders,
    mirrors: Sequence[str],
    patience: Patience | None,
    reporter: Reporter,
) -> list[Path]:
    done = sum(bytes_there(archive, folders.archives) for archive in download.archives)
    with reporter.progress("Fetching", download.size, done, unit="bytes") as advance:

        def report(now: int, name: str) -> None:
            nonlocal done
            advance(now - done, name)  # negative where an archive is fetched again from its start
            done = now

        try:
            return fetch_archives(download, folders.archives, mirrors, report, patience)
        except KeyboardInterrupt:
            reporter.note("Interrupted. Downloaded data is kept: run the same command to resume.")
            raise


def folders_of(download: Download, root: Path) -> DownloadFolders:
    """Under a folder of datasets, or beside VOC's other years where it is a VOCdevkit."""
    devkit = root if root.name == DEVKIT else root / DEVKIT
    return DownloadFolders(devkit / download.folder, root / "downloads")


def is_complete(download: Download, folders: DownloadFolders) -> bool:
    """Whether the dataset exists already. Raises InputError where the folder holds another."""
    if not folders.target.exists():
        return False
    missing = _missing_splits(download, folders.target)
    if missing:
        raise InputError(
            f"{folders.target}: is there, but without {', '.join(missing)}.\n"
            "Move it away, or name another folder with --data-root."
        )
    return True


def _missing_splits(download: Download, folder: Path) -> list[str]:
    there = VocLayout(folder).splits() if VocLayout.is_at(folder) else {}
    return [split for split in download.splits if split not in there]


def check_disk_space(download: Download, folders: DownloadFolders) -> None:
    """Raises InputError where the disk has no space for archives and dataset together."""
    folder = next(each for each in folders.target.absolute().parents if each.exists())
    there = sum(bytes_there(archive, folders.archives) for archive in download.archives)
    needed, free = 2 * download.size - there + _SPARE, shutil.disk_usage(folder).free
    if free < needed:
        raise InputError(
            f"{folder}: {download.name} needs {needed / 1e9:.1f} GB while it is unpacked, "
            f"{free / 1e9:.1f} GB are free.\n"
            "Make room, or name a folder on another disk with --data-root."
        )


def unpack_archives(
    download: Download,
    folders: DownloadFolders,
    archives: Sequence[Path],
    report: Callable[[int], None] = lambda size: None,
) -> None:
    """Unpack beside the target, and give it its name when everything is there.

    Raises InputError as `unpack` does, or where the archives lack the dataset. However it ends,
    nothing half unpacked stays.
    """
    staging = folders.target.with_name(f".{folders.target.name}.partial")
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
        os.rename(unpacked, folders.target)
        sync_folder(folders.target.parent)
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
                _write_entry(tar, entry, into / path)
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


def _write_entry(tar: tarfile.TarFile, entry: tarfile.TarInfo, path: Path) -> None:
    if entry.isdir():
        path.mkdir(parents=True, exist_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    content = tar.extractfile(entry)
    assert content is not None
    with content, open(path, "wb") as file:
        shutil.copyfileobj(content, file)
