"""`frcnn proposals merge`: merge the stores of several shards into one."""

from __future__ import annotations

from pathlib import Path

import click
from rich.markup import escape

from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, pass_output
from frcnn_proposals.store.merge import merge_stores
from frcnn_proposals.store.reader import open_store
from frcnn_proposals.wording import counted


@click.command()
@click.argument("stores", nargs=-1, required=True, type=options.FilePath)
@click.option("--out", required=True, type=options.OutputFile, help="Output store.")
@pass_output
def merge(output: Output, stores: tuple[Path, ...], out: Path) -> None:
    """Merge STORES into one. All must have the same source with the same parameters.

    \b
    frcnn proposals merge images-1of2.proposals images-2of2.proposals --out images.proposals
    """
    total = sum(len(open_store(path)) for path in stores)
    with output.progress("Merging", total) as advance:
        result = merge_stores(stores, out, lambda: advance(1, ""))
    output.print(f"Merged {counted(result.images, 'image')}: [bold]{escape(str(out))}[/]")
    if result.failures:
        output.warn(
            f"{counted(len(result.failures), 'image has', 'images have')} no proposals; list them "
            f"with `frcnn proposals inspect {out}`."
        )
