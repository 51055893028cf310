"""`frcnn data list`: which datasets are found, and where."""

from __future__ import annotations

from pathlib import Path

import click
from rich.markup import escape
from rich.table import Table

from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, pass_output
from frcnn_cli.engine.datasets.locate import data_roots, list_datasets


@click.command("list")
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
