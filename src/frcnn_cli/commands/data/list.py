"""`frcnn data list`: list the datasets that are found."""

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
    """List the datasets that are found, and their folders.

    Searches --data-root, then $FRCNN_DATA, then ./data.

    \b
    frcnn data list
    frcnn data list --data-root /datasets
    """
    found = list_datasets(data_root)
    searched = ", ".join(str(root) for root in data_roots(data_root))
    if not found:
        output.print(
            f"No datasets found in {escape(searched)}. `frcnn data generate OUT` creates one."
        )
        return
    rows = []
    for item in found:
        splits = ", ".join(
            split if annotated else f"{split} (no annotations)"
            for split, annotated in item.splits.items()
        )
        rows.append((item.name, item.kind, item.problem or splits, str(item.root)))
    output.print(make_table(None, ("name", "layout", "splits", "folder"), rows, names=4))
    output.note(f"Searched {searched}")
