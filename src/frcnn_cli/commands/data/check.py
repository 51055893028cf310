"""`frcnn data check`: read a whole dataset, and report the problems in it."""

from __future__ import annotations

from pathlib import Path

import click
from rich.markup import escape
from rich.table import Table

from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, pass_output, write_json
from frcnn_cli.commands.shared.tables import make_table
from frcnn_cli.engine.datasets.check import CheckReport, check_dataset
from frcnn_proposals.wording import counted

_SHOWN, _CLASSES_SHOWN = 20, 100


@click.command()
@click.argument("dataset")
@click.option("--split", show_default="all splits", help="Check only this split.")
@options.data_root
@options.json_file
@pass_output
@click.pass_context
def check(
    context: click.Context,
    output: Output,
    dataset: str,
    split: str | None,
    data_root: Path | None,
    json_path: Path | None,
) -> None:
    """Read every annotation and image of DATASET, and list the problems.

    The exit code is 1 if an error prevents the use of the dataset.

    \b
    frcnn data check voc2007 --data-root VOCdevkit
    """
    report = check_dataset(dataset, split, data_root, output)
    if report.splits:
        output.print(_table(dataset, report))
    _print_classes(output, report)
    _print_faults(output, report)
    faults = [
        {"path": str(fault.path), "message": fault.message, "tolerated": fault.tolerated}
        for fault in report.faults
    ]
    splits = [vars(split) for split in report.splits]
    write_json(json_path, {"sound": report.sound, "splits": splits, "faults": faults})
    if not report.sound:
        context.exit(1)


def _table(name: str, report: CheckReport) -> Table:
    numbers = ("images", "without objects", "objects", "difficult or crowd", "classes")
    rows = []
    for split in report.splits:
        counts = ["-"] * 4
        if split.annotated:
            seen = sum(count > 0 for count in split.objects.values())
            total = sum(split.objects.values())
            classes = f"{seen} of {len(split.objects)}"
            counts = [str(split.background), str(total), str(split.ignored), classes]
        rows.append((split.split, str(split.images), *counts))
    return make_table(name, ("split", *numbers), rows)


def _print_classes(output: Output, report: CheckReport) -> None:
    """Print the number of objects of each class, per split, in the order of the classes."""
    splits = [split for split in report.splits if split.annotated]
    classes = list(dict.fromkeys(name for split in splits for name in split.objects))
    if not classes:
        return
    rows = [
        (name, *(str(split.objects.get(name, 0)) for split in splits))
        for name in classes[:_CLASSES_SHOWN]
    ]
    headings = ("class", *(split.split for split in splits))
    output.print(make_table("Objects by class", headings, rows))
    if len(classes) > _CLASSES_SHOWN:
        more = len(classes) - _CLASSES_SHOWN
        output.print(
            f"... and {counted(more, 'more class', 'more classes')}; --json FILE lists all of them"
        )


def _print_faults(output: Output, report: CheckReport) -> None:
    """Print errors first, then warnings, which are the tolerated faults."""
    errors = [fault for fault in report.faults if not fault.tolerated]
    warnings = [fault for fault in report.faults if fault.tolerated]
    for title, faults in (("error", errors), ("warning", warnings)):
        for fault in faults[:_SHOWN]:
            line = f"[bold]{title}[/] {escape(str(fault))}"
            output.results.print(line, soft_wrap=True, highlight=False)
        if len(faults) > _SHOWN:
            output.print(f"... and {len(faults) - _SHOWN} more; --json FILE lists all of them")
    if report.faults:
        output.print(f"Errors: {len(errors)}. Warnings: {len(warnings)}.")
    else:
        output.print("No problems found.")
