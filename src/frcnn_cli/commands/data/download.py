"""`frcnn data download`: fetch a public data set, check it and unpack it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import click
from rich.markup import escape

from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, pass_output
from frcnn_cli.engine.datasets.download.dataset import (
    Place,
    check_room,
    fetch_archives,
    is_there,
    place_of,
    unpack_archives,
)
from frcnn_cli.engine.datasets.download.fetch import bytes_there
from frcnn_cli.engine.datasets.download.known import DOWNLOADS, Download
from frcnn_cli.engine.datasets.locate import data_roots
from frcnn_proposals.errors import MisuseError


@click.command()
@click.argument("dataset", type=click.Choice(list(DOWNLOADS)))
@options.data_root
@click.option(
    "--mirror",
    "mirrors",
    multiple=True,
    metavar="URL",
    help="Address of a folder that has the archives, in place of the known ones; repeatable.",
)
@click.option("--keep-archives", is_flag=True, help="Keep the archives once they are unpacked.")
@pass_output
def download(
    output: Output,
    dataset: str,
    data_root: Path | None,
    mirrors: tuple[str, ...],
    keep_archives: bool,
) -> None:
    """Fetch DATASET, check its archives by SHA-256, and unpack it where `frcnn train` finds it.

    It goes to --data-root, else to the first of $FRCNN_DATA and ./data. After Ctrl-C or a
    failure the same command goes on with what is there. voc2012 has no test split: its
    annotations are not public.

    \b
    frcnn data download voc2007
    frcnn data download voc2012 --data-root /datasets --keep-archives
    frcnn data download voc2007 --mirror https://mirror.example.org/voc
    """
    for mirror in mirrors:
        if not mirror.startswith(("http://", "https://")):
            raise MisuseError(f"--mirror {mirror}: give an address that begins with https://.")
    wanted = DOWNLOADS[dataset]
    root = data_roots(data_root)[0]
    place = place_of(wanted, root)
    if is_there(wanted, place):
        output.print(f"[bold]{escape(str(place.target))}[/] is there already.")
        return
    check_room(wanted, place)
    archives = _fetch(output, wanted, place, mirrors)
    with output.progress("Unpacking", wanted.size, unit="bytes") as advance:
        unpack_archives(wanted, place, archives, lambda size: advance(size, ""))
    if not keep_archives:
        _remove(archives, place)
    output.print(f"Data set: [bold]{escape(str(place.target))}[/]")
    where = "" if data_root is None else f" --data-root {data_root}"
    output.note(f"Next: `frcnn train {dataset}{where}`.")


def _fetch(output: Output, wanted: Download, place: Place, mirrors: tuple[str, ...]) -> list[Path]:
    there = sum(bytes_there(archive, place.archives) for archive in wanted.archives)
    with output.progress("Fetching", wanted.size, there, unit="bytes") as advance:
        report = _increments(there, advance)
        try:
            return fetch_archives(wanted, place, mirrors, report)
        except KeyboardInterrupt:
            output.note("Interrupted. What was fetched is kept: the same command goes on with it.")
            raise


def _increments(done: int, advance: Callable[[int, str], None]) -> Callable[[int, str], None]:
    """From how much is there to how much has come, which is less than nothing after a restart."""

    def report(now: int, name: str) -> None:
        nonlocal done
        advance(now - done, name)
        done = now

    return report


def _remove(archives: list[Path], place: Place) -> None:
    for archive in archives:
        archive.unlink()
    if not any(place.archives.iterdir()):
        place.archives.rmdir()
