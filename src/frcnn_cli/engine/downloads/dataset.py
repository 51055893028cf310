"""A data set from the network, under its name only when all of it is there."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from frcnn_cli.engine.datasets.voc import VocLayout
from frcnn_cli.engine.downloads.fetch import bytes_there, fetch
from frcnn_cli.engine.downloads.known import Download
from frcnn_cli.engine.downloads.transfer import Patience
from frcnn_cli.engine.downloads.unpack import unpack
from frcnn_proposals.errors import InputError
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
