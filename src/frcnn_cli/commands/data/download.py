"""`frcnn data download`: fetch a public data set, check it and unpack it."""

from __future__ import annotations

from pathlib import Path

import click
from rich.markup import escape

from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, pass_output
from frcnn_cli.engine.datasets.download.dataset import download_dataset
from frcnn_cli.engine.datasets.download.known import DOWNLOADS


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
    failure the same command resumes. voc2012 has no test split: its annotations are
    not public.

    \b
    frcnn data download voc2007
    frcnn data download voc2012 --data-root /datasets --keep-archives
    frcnn data download voc2007 --mirror https://mirror.example.org/voc
    """
    found = download_dataset(dataset, data_root, mirrors, keep_archives, reporter=output)
    if found.existed:
        output.print(f"[bold]{escape(str(found.folder))}[/] is there already.")
        return
    output.print(f"Dataset: [bold]{escape(str(found.folder))}[/]")
    where = "" if data_root is None else f" --data-root {data_root}"
    output.note(f"Next: `frcnn train {dataset}{where}`.")
