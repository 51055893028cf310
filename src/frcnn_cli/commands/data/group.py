"""`frcnn data`: download, generate, list, check and export data sets."""

from __future__ import annotations

from pathlib import Path

import click
from rich.markup import escape
from rich.table import Table

from frcnn_cli.commands.data.check import check
from frcnn_cli.commands.data.download import download
from frcnn_cli.commands.data.export import export
from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, pass_output
from frcnn_cli.engine.datasets.generate.dataset import generate_dataset
from frcnn_cli.engine.datasets.inventory import list_datasets
from frcnn_cli.engine.datasets.locate import data_roots


@click.group()
def data() -> None:
    """Download, generate, list, check and export data sets.

    \b
    frcnn data download voc2007
    frcnn data list
    """


data.add_command(download)
data.add_command(check)
data.add_command(export)


@data.command()
@click.argument("out", type=options.FolderPath)
@click.option("--images", default=400, show_default=True, help="How many; a quarter is for test.")
@click.option("--seed", default=0, show_default=True, help="The same seed, the same pictures.")
@click.option(
    "--size",
    type=(int, int),
    default=(320, 240),
    show_default=True,
    metavar="WIDTH HEIGHT",
    help="Size of the pictures in pixels.",
)
@pass_output
def generate(output: Output, out: Path, images: int, seed: int, size: tuple[int, int]) -> None:
    """Write a small data set of textured shapes, in the VOC layout, to OUT.

    \b
    frcnn data generate data/shapes
    frcnn train shapes
    """
    with output.progress("Generating", images) as advance:
        generate_dataset(out, images, seed, size, lambda done: advance(1, ""))
    output.note(f"Wrote {images} images to {out}: `frcnn train {out}` trains on them.")


@data.command("list")
@options.data_root
@pass_output
def list_command(output: Output, data_root: Path | None) -> None:
    """Show which data sets are found, and where.

    Looked for in --data-root, then $FRCNN_DATA, then ./data.

    \b
    frcnn data list
    frcnn data list --data-root /datasets
    """
    found = list_datasets(data_root)
    looked = ", ".join(str(root) for root in data_roots(data_root))
    if not found:
        output.print(f"No data set in {escape(looked)}. `frcnn data generate OUT` makes one.")
        return
    table = Table("name", "layout", "splits", "where")
    for item in found:
        splits = ", ".join(
            split if annotated else f"{split} (no annotations)"
            for split, annotated in item.splits.items()
        )
        table.add_row(
            escape(item.name), item.kind, escape(item.problem or splits), escape(str(item.root))
        )
    output.print(table)
    output.note(f"Looked in {looked}")
