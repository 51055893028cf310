"""Download archives, each from the first mirror that provides it."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from io import BufferedRandom, BufferedReader
from pathlib import Path

from frcnn_cli.engine.datasets.download.known import Archive, Download
from frcnn_cli.engine.datasets.download.transfer import Patience, TransferError, fill
from frcnn_proposals.errors import InputError
from frcnn_proposals.files import failed_writes_named, sync_folder

Report = Callable[[int], None]  # called with the bytes of the archive that are present


def partial_path(archive: Archive, folder: Path) -> Path:
    """The path of an unfinished archive; a file with the final name is complete and verified."""
    return folder / f"{archive.name}.partial"


def bytes_present(archive: Archive, folder: Path) -> int:
    """The number of bytes of the archive that earlier runs left in the folder."""
    for path in (folder / archive.name, partial_path(archive, folder)):
        if path.is_file():
            return min(path.stat().st_size, archive.size)
    return 0


def fetch_archives(
    download: Download,
    folder: Path,
    mirrors: Sequence[str] = (),
    report: Callable[[int, str], None] = lambda done, name: None,
    patience: Patience | None = None,
) -> list[Path]:
    """Download and verify all archives of a dataset. Returns their paths.

    mirrors: used instead of the dataset's own. report: is called with the bytes of all archives
    that are present, and the name of the current archive. Raises InputError as `fetch`.
    """
    paths, before = [], 0
    for archive in download.archives:

        def report_all(done: int, before: int = before, name: str = archive.name) -> None:
            report(before + done, name)

        addresses = mirrors or download.mirrors
        paths.append(fetch(archive, folder, addresses, report_all, patience))
        before += archive.size
        report(before, archive.name)
    return paths


def fetch(
    archive: Archive,
    folder: Path,
    mirrors: Sequence[str],
    report: Report = lambda done: None,
    patience: Patience | None = None,
) -> Path:
    """Download the archive into `folder`, resuming a partial file, and verify its SHA-256.

    mirrors: addresses of folders that have it, tried in order. Raises InputError if no mirror
    provides it, with the reason for each mirror; if a different file has its name; or if another
    process is downloading it. Downloaded bytes are kept for the next call in every case.
    """
    complete = folder / archive.name
    if complete.exists():
        with open(complete, "rb") as file:
            if not _is_correct(file, archive):
                raise InputError(
                    f"{complete}: is a different file (its SHA-256 does not match).\n"
                    "Delete it, and run the same command to download it."
                )
        return complete
    failures = []
    partial = partial_path(archive, folder)
    with _locked(partial) as file:
        for mirror in mirrors:
            try:
                url = f"{mirror.rstrip('/')}/{archive.name}"
                _fetch_from(url, file, archive, report, patience or Patience())
            except TransferError as error:
                failures.append(f"{mirror}: {error}")
                continue
            os.fsync(file.fileno())
            os.replace(partial, complete)
            sync_folder(folder)
            return complete
    raise InputError(
        f"{archive.name} could not be downloaded. " + "; ".join(failures) + ".\n"
        "Run the same command to resume, or set another address with --mirror."
    )


def _fetch_from(
    url: str, file: BufferedRandom, archive: Archive, report: Report, patience: Patience
) -> None:
    """Fill the file from one address until its checksum is correct.

    If the checksum is wrong, the file is emptied. The wrong bytes may come from another address
    or an earlier run, so this address may then send the whole file once.
    """
    is_own = file.seek(0, os.SEEK_END) == 0
    if file.tell() > archive.size:
        file.truncate(0)
    while True:
        fill(file, archive.size, url, patience, report)
        if _is_correct(file, archive):
            return
        file.truncate(0)
        report(0)
        if is_own:
            raise TransferError("its file is different (the SHA-256 does not match)")
        is_own = True


def _is_correct(file: BufferedReader | BufferedRandom, archive: Archive) -> bool:
    if file.seek(0, os.SEEK_END) != archive.size:
        return False
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest() == archive.sha256


@contextmanager
def _locked(path: Path) -> Iterator[BufferedRandom]:
    """Open and lock the unfinished file; delete it afterwards if it is empty."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    with failed_writes_named(path), os.fdopen(handle, "r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InputError(
                f"{path}: another process is downloading this file. Wait for it."
            ) from error
        try:
            yield file
        finally:
            if path.exists() and file.seek(0, os.SEEK_END) == 0:
                path.unlink()
