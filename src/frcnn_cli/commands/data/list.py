"""`frcnn data list`: which datasets are found, and where."""

from __future__ import annotations

from pathlib import Path

import click
from rich.markup import escape

from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, pass_output
from frcnn_cli.commands.shared.tables import make_table
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
    rows = []
    for item in found:
        splits = ", ".join(
            split if annotated else f"{split} (no annotations)"
            for split, annotated in item.splits.items()
        )
        rows.append((item.name, item.kind, item.problem or splits, str(item.root)))
    output.print(make_table(None, ("name", "layout", "splits", "where"), rows, names=4))
    output.note(f"Looked in {looked}")
