"""`frcnn proposals merge`: the shards of a large folder become one store."""

from __future__ import annotations

from pathlib import Path

import click
from rich.markup import escape

from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, pass_output
from frcnn_proposals.store.merge import merge_stores
from frcnn_proposals.store.reader import open_store


@click.command()
@click.argument("stores", nargs=-1, required=True, type=options.FilePath)
@click.option("--out", required=True, type=options.FilePath, help="The store to write.")
@pass_output
def merge(output: Output, stores: tuple[Path, ...], out: Path) -> None:
    """Join STORES, made by the same source with the same parameters, into one.

    \b
    frcnn proposals merge images-1of2.proposals images-2of2.proposals --out images.proposals
    """
    total = sum(len(open_store(path)) for path in stores)
    with output.progress("Merging", total) as advance:
        result = merge_stores(stores, out, lambda: advance(1, ""))
    output.print(f"{result.images} images: [bold]{escape(str(out))}[/]")
    if result.failures:
        output.warn(f"{len(result.failures)} images have no boxes; inspect lists them.")
