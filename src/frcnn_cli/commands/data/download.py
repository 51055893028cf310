"""`frcnn data download`: download a public dataset, verify it and unpack it."""

from __future__ import annotations

from pathlib import Path

import click
from rich.markup import escape

from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, pass_output
from frcnn_cli.engine.datasets.download.dataset import download_dataset
from frcnn_cli.engine.datasets.download.known import DOWNLOADS


@click.command()
@click.argument("dataset", type=click.Choice(list(DOWNLOADS), case_sensitive=False))
@options.data_root
@click.option(
    "--mirror",
    "mirrors",
    multiple=True,
    metavar="URL",
    help="Address of a folder with the archives, used instead of the known mirrors. Repeatable.",
)
@click.option("--keep-archives", is_flag=True, help="Keep the archives after unpacking.")
@pass_output
def download(
    output: Output,
    dataset: str,
    data_root: Path | None,
    mirrors: tuple[str, ...],
    keep_archives: bool,
) -> None:
    """Download DATASET, verify the SHA-256 of its archives, and unpack it.

    The destination is --data-root, otherwise $FRCNN_DATA, otherwise ./data; `frcnn train` finds
    the dataset there. After Ctrl-C or a failure, the same command resumes. voc2012 has no test
    split because its annotations are not public.

    \b
    frcnn data download voc2007
    frcnn data download voc2012 --data-root /datasets --keep-archives
    frcnn data download voc2007 --mirror https://mirror.example.org/voc
    """
    downloaded = download_dataset(dataset, data_root, mirrors, keep_archives, reporter=output)
    folder = escape(str(downloaded.folder))
    if downloaded.existed:
        output.print(f"[bold]{folder}[/] already exists.")
        return
    output.print(f"Dataset: [bold]{folder}[/]")
    root = "" if data_root is None else f" --data-root {data_root}"
    output.note(f"Next: `frcnn train {dataset}{root}`.")
