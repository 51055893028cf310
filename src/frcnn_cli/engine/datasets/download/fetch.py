"""Fetch archives, each from the first mirror that has it."""

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
from frcnn_proposals.files import sync_folder

Report = Callable[[int], None]  # bytes of the archive that are there


def partial_path(archive: Archive, folder: Path) -> Path:
    """Where an archive grows; under its own name it is whole and checked."""
    return folder / f"{archive.name}.partial"


def bytes_there(archive: Archive, folder: Path) -> int:
    """How much of the archive an earlier run has left in the folder."""
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
    """All archives of a dataset, each whole and checked. mirrors: in place of the dataset's own.

    report: is told how many bytes of all archives are there, and the archive's name. Raises
    InputError as `fetch` does.
    """
    paths, before = [], 0
    for archive in download.archives:

        def report_all(done: int, before: int = before, name: str = archive.name) -> None:
            report(before + done, name)

        wanted = mirrors or download.mirrors
        paths.append(fetch(archive, folder, wanted, report_all, patience))
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
    """The archive in `folder`, its SHA-256 checked; what is there of it is gone on with.

    mirrors: addresses of folders that have it, tried in order. Raises InputError where none of
    them gives it, saying why for each; where the file that is there is another; or where another
    run is fetching it. However it ends, bytes that were fetched stay for the next call.
    """
    whole = folder / archive.name
    if whole.exists():
        with open(whole, "rb") as file:
            if not _is_right(file, archive):
                raise InputError(
                    f"{whole}: is not the archive that it is named after (its SHA-256 differs).\n"
                    "Remove it, and the same command fetches it."
                )
        return whole
    refusals = []
    partial = partial_path(archive, folder)
    with _held(partial) as file:
        for mirror in mirrors:
            try:
                url = f"{mirror.rstrip('/')}/{archive.name}"
                _fetch_from(url, file, archive, report, patience or Patience())
            except TransferError as error:
                refusals.append(f"{mirror}: {error}")
                continue
            os.fsync(file.fileno())
            os.replace(partial, whole)
            sync_folder(folder)
            return whole
    raise InputError(
        f"{archive.name} could not be fetched. " + "; ".join(refusals) + ".\n"
        "Run the same command to resume, or name another address by --mirror."
    )


def _fetch_from(
    url: str, file: BufferedRandom, archive: Archive, report: Report, patience: Patience
) -> None:
    """Fill the file from one address, until its bytes are right.

    Where they are not, it is emptied. What another address or an earlier run has begun may be to
    blame, so this one gets the chance to give all of it.
    """
    mine = file.seek(0, os.SEEK_END) == 0
    if file.tell() > archive.size:
        file.truncate(0)
    while True:
        fill(file, archive.size, url, patience, report)
        if _is_right(file, archive):
            return
        file.truncate(0)
        report(0)
        if mine:
            raise TransferError("its file is another one (the SHA-256 differs)")
        mine = True


def _is_right(file: BufferedReader | BufferedRandom, archive: Archive) -> bool:
    if file.seek(0, os.SEEK_END) != archive.size:
        return False
    file.seek(0)
    return hashlib.file_digest(file, "sha256").hexdigest() == archive.sha256


@contextmanager
def _held(path: Path) -> Iterator[BufferedRandom]:
    """The file to grow, for this process alone; an empty one is not left behind."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o644)
    with os.fdopen(handle, "r+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise InputError(f"{path}: another run is fetching this. Wait for it.") from error
        try:
            yield file
        finally:
            if path.exists() and file.seek(0, os.SEEK_END) == 0:
                path.unlink()
