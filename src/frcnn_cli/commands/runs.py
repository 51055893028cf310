"""`frcnn runs`: the training runs in a folder."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich import box
from rich.markup import escape
from rich.table import Table

from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, pass_output, write_json
from frcnn_cli.commands.shared.estimate import in_bytes
from frcnn_cli.commands.shared.tables import FoldedTable
from frcnn_cli.engine.settings.fields import nested
from frcnn_cli.engine.training.run_folder import ListedRun, list_runs


@click.command()
@options.runs_root
@options.json_file
@pass_output
def runs(output: Output, runs_root: Path, json_path: Path | None) -> None:
    """List training runs with their settings, progress, mAP on val and size on disk.

    \b
    frcnn runs
    frcnn runs --runs ~/experiments --json runs.json
    """
    found = list_runs(runs_root)
    if found:
        output.print(_table(found))
    else:
        output.note(f"No runs in {runs_root}. Start one with `frcnn train`.")
    for run in found:
        if run.problem:
            output.warn(run.problem)
    if json_path is not None:
        write_json(json_path, {"runs": [_as_json(run) for run in found]})


def _table(found: list[ListedRun]) -> Table:
    table = FoldedTable(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("run", no_wrap=True)
    table.add_column("dataset")
    table.add_column("setting")
    for heading in ("progress", "mAP on val", "size"):
        table.add_column(heading, justify="right")
    for run in found:
        name = escape(run.folder.name)
        if run.experiment is None:
            table.add_row(name, "", "[red]damaged[/]", "", "", in_bytes(run.size))
            continue
        data, train = run.experiment.data, run.experiment.train
        dataset = f"{Path(data.dataset).name} {data.split}".strip()
        scale = run.experiment.preprocessing.scale
        setting = f"{run.experiment.backbone}, scale {scale}, seed {train.seed}"
        progress = "done" if run.finished else f"{run.iteration} of {train.iterations}"
        best = "" if run.best is None else f"{100 * run.best:.1f}"
        table.add_row(name, escape(dataset), escape(setting), progress, best, in_bytes(run.size))
    return table


def _as_json(run: ListedRun) -> dict[str, Any]:
    experiment = run.experiment
    return {
        "name": run.folder.name,
        "folder": str(run.folder),
        "setting": None if experiment is None else nested(experiment),
        "iteration": run.iteration,
        "iterations": None if experiment is None else experiment.train.iterations,
        "finished": run.finished,
        "map": run.best,
        "size_bytes": run.size,
        "problem": run.problem or None,
    }
