"""Download a dataset; its folder appears once it is complete."""

from __future__ import annotations

import fcntl
import os
import shutil
import tarfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from frcnn_cli.engine.datasets.download.fetch import bytes_present, fetch_archives
from frcnn_cli.engine.datasets.download.known import DOWNLOADS, Download
from frcnn_cli.engine.datasets.download.transfer import Patience
from frcnn_cli.engine.datasets.locate import data_roots
from frcnn_cli.engine.datasets.readers.voc import VocLayout
from frcnn_cli.engine.reporter import SILENT, Reporter
from frcnn_proposals.errors import InputError, MisuseError, reason
from frcnn_proposals.files import sync_folder, temporary_folder

_SPARE = 64 << 20  # bytes to leave free on the disk
DEVKIT = "VOCdevkit"


@dataclass(frozen=True)
class DownloadFolders:
    """Folders of a download. target: the dataset. archives: its archives."""

    target: Path
    archives: Path


@dataclass(frozen=True)
class DownloadedDataset:
    """The result of a download. existed: whether the dataset was complete before the call."""

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
    """Download the archives of one of DOWNLOADS, verify and unpack them.

    data_root: None uses $FRCNN_DATA if set, otherwise ./data. mirrors: addresses of folders with
    the archives, used instead of the known mirrors. patience: how long to wait for servers. An
    interrupted download is resumed. Raises MisuseError for a mirror that is not an address, and
    InputError if the disk is too small, an archive cannot be downloaded or is damaged, or the
    target folder has other content.
    """
    for mirror in mirrors:
        if not mirror.startswith(("http://", "https://")):
            raise MisuseError(f"--mirror {mirror}: expected an address that begins with https://.")
    download = DOWNLOADS[name]
    folders = folders_of(download, data_roots(data_root)[0])
    if is_complete(download, folders):
        return DownloadedDataset(folders.target, existed=True)
    with _alone(folders.archives, reporter):
        if is_complete(download, folders):  # by the process that this one has waited for
            return DownloadedDataset(folders.target, existed=True)
        check_disk_space(download, folders)
        archives = _fetch(download, folders, mirrors, patience, reporter)
        with reporter.progress("Unpacking", download.size, unit="bytes") as advance:
            unpack_archives(download, folders, archives, lambda size: advance(size, ""))
        if not keep_archives:
            for archive in archives:
                archive.unlink()
    return DownloadedDataset(folders.target, existed=False)


@contextmanager
def _alone(folder: Path, reporter: Reporter) -> Iterator[None]:
    """Hold the folder of archives; wait for another process that downloads into it."""
    folder.mkdir(parents=True, exist_ok=True)
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            reporter.note(f"{folder}: another process is downloading. Waiting for it.")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
        with suppress(OSError):
            folder.rmdir()  # only if it is empty


def _fetch(
    download: Download,
    folders: DownloadFolders,
    mirrors: Sequence[str],
    patience: Patience | None,
    reporter: Reporter,
) -> list[Path]:
    done = sum(bytes_present(archive, folders.archives) for archive in download.archives)
    with reporter.progress("Downloading", download.size, done, unit="bytes") as advance:

        def report(now: int, name: str) -> None:
            nonlocal done
            advance(now - done, name)  # negative if an archive restarts from its first byte
            done = now

        try:
            return fetch_archives(download, folders.archives, mirrors, report, patience)
        except KeyboardInterrupt:
            reporter.note("Downloaded data is kept: run the same command to resume.")
            raise


def folders_of(download: Download, root: Path) -> DownloadFolders:
    """Return the folders of a download: in root/VOCdevkit, or in `root` if it is a VOCdevkit."""
    devkit = root if root.name == DEVKIT else root / DEVKIT
    return DownloadFolders(devkit / download.folder, root / "downloads")


def is_complete(download: Download, folders: DownloadFolders) -> bool:
    """Whether the dataset already exists. Raises InputError if a split is missing."""
    if not folders.target.exists():
        return False
    missing = _missing_splits(download, folders.target)
    if missing:
        raise InputError(
            f"{folders.target}: exists, but has no split {', '.join(missing)}.\n"
            "Move the folder, or choose another one with --data-root."
        )
    return True


def _missing_splits(download: Download, folder: Path) -> list[str]:
    existing = VocLayout(folder).splits() if VocLayout.is_at(folder) else {}
    return [split for split in download.splits if split not in existing]


def check_disk_space(download: Download, folders: DownloadFolders) -> None:
    """Raise InputError if the disk has too little space for the archives and the dataset."""
    folder = next(parent for parent in folders.target.absolute().parents if parent.exists())
    present = sum(bytes_present(archive, folders.archives) for archive in download.archives)
    needed, free = 2 * download.size - present + _SPARE, shutil.disk_usage(folder).free
    if free < needed:
        raise InputError(
            f"{folder}: {download.name} needs {needed / 1e9:.1f} GB for unpacking, "
            f"{free / 1e9:.1f} GB are free.\n"
            "Free some space, or choose a folder on another disk with --data-root."
        )


def unpack_archives(
    download: Download,
    folders: DownloadFolders,
    archives: Sequence[Path],
    report: Callable[[int], None] = lambda size: None,
) -> None:
    """Unpack next to the target folder, and rename the result once it is complete.

    Raises InputError as `unpack`, or if the archives do not contain the dataset. Incomplete
    files are deleted in every case.
    """
    folders.target.parent.mkdir(parents=True, exist_ok=True)
    with temporary_folder(folders.target) as staging:
        for archive in archives:
            unpack(archive, staging, report)
        unpacked = staging / DEVKIT / download.folder
        if missing := _missing_splits(download, unpacked):
            names = ", ".join(str(path) for path in archives)
            raise InputError(f"{names}: has no {DEVKIT}/{download.folder} with split {missing[0]}")
        os.sync()  # the files must be on the disk before the folder gets its name
        os.rename(unpacked, folders.target)
        sync_folder(folders.target.parent)


MAX_ENTRIES = 200_000  # VOC2012 has 40,000


def unpack(
    archive: Path,
    into: Path,
    report: Callable[[int], None] = lambda size: None,
    max_entries: int = MAX_ENTRIES,
) -> None:
    """Unpack into the folder `into`, which is new or contains only files of earlier calls.

    report: is called with the size of each file, in bytes. Raises InputError, naming the entry,
    for a path that is absolute or contains '..', for links, devices and sparse files, for more
    entries than `max_entries`, for more bytes than the archive has, and for a damaged archive.
    """
    left = archive.stat().st_size
    try:
        with tarfile.open(archive, "r:") as tar:
            for count, entry in enumerate(tar, start=1):
                path = _inside(entry, archive)
                left -= entry.size
                if count > max_entries or left < 0:
                    raise InputError(f"{archive}: has too many entries or bytes; not unpacked")
                _write_entry(tar, entry, into / path)
                report(entry.size)
            _check_end(archive, tar.offset)
    except (tarfile.TarError, EOFError, ValueError) as error:
        raise InputError(f"{archive}: is damaged ({reason(error)})") from error
    except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
        raise InputError(f"{archive}: contains a file and a folder of the same name") from error


def _inside(entry: tarfile.TarInfo, archive: Path) -> PurePosixPath:
    """Return the entry's relative path. Raises InputError unless it is a plain file or folder."""
    path = PurePosixPath(entry.name)
    if path.is_absolute() or ".." in path.parts or "\0" in entry.name:
        raise InputError(f"{archive}: {entry.name!r} leads out of its folder; not unpacked")
    if not (entry.isdir() or entry.isreg()) or entry.issparse() or entry.size < 0:
        raise InputError(
            f"{archive}: {entry.name!r} is neither a plain file nor a folder; not unpacked"
        )
    return path


def _check_end(archive: Path, end: int) -> None:
    """Raise ReadError unless the archive ends with a zero block.

    tarfile treats an unreadable header as the end of the archive.
    """
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
