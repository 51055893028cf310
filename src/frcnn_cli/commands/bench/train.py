"""`frcnn bench train`: how fast a training step is."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich import box
from rich.table import Table

from frcnn_cli.commands.bench.cases import cases_option, native_cases
from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, pass_output, write_json
from frcnn_cli.engine.benchmarks.cases import TRAINING_CASES

if TYPE_CHECKING:
    from frcnn_cli.engine.benchmarks.train import TrainingTimes


@click.command("train")
@cases_option(TRAINING_CASES)
@click.option(
    "--rounds", type=click.IntRange(min=1), default=3, show_default=True, help="Of each case."
)
@click.option("--steps", type=click.IntRange(min=1), default=4, show_default=True, help="A round.")
@options.json_file
@pass_output
def bench_train(
    output: Output, names: str | None, rounds: int, steps: int, json_path: Path | None
) -> None:
    """Train by this toolkit, and by a plain loop with torchvision's RoI pooling, in turn.

    The same networks, generated pictures and RoIs; the plain loop is NCHW and float32 and
    prepares its images between the steps. Weights are random: they do not change the time.

    \b
    frcnn bench train --rounds 5 --json train.json
    """
    cases = native_cases(output, TRAINING_CASES, names)
    from frcnn_cli.engine.benchmarks.train import benchmark_training

    results = benchmark_training(cases, rounds, steps, output)
    output.print(_table(results))
    output.print(_stage_table(results))
    if json_path is not None:
        write_json(json_path, {"cases": [result.to_json() for result in results]})


def _table(results: Sequence[TrainingTimes]) -> Table:
    table = Table(title="Seconds a training step, medians", box=box.SIMPLE_HEAD)
    table.add_column("case", no_wrap=True)
    for heading in ("ours", "torchvision", "ratio"):
        table.add_column(heading, justify="right")
    for result in results:
        times = (f"{result.ours_s:.3f}", f"{result.torchvision_s:.3f}", f"{result.ratio:.2f}")
        table.add_row(result.name, *times)
    return table


def _stage_table(results: Sequence[TrainingTimes]) -> Table:
    table = Table(title="Where our time goes", box=box.SIMPLE_HEAD)
    table.add_column("case", no_wrap=True)
    for stage in asdict(results[0].stages):
        table.add_column(stage.replace("_", " "), justify="right")
    for result in results:
        stages = asdict(result.stages).values()
        table.add_row(result.name, *(f"{value / result.stages.total:.1%}" for value in stages))
    return table
