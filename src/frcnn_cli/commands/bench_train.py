"""`frcnn bench train`: how fast a training step is."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click
from rich.table import Table

from frcnn_cli.commands import options
from frcnn_cli.commands.console import Output, pass_output, write_json
from frcnn_cli.engine.benchmarks.train import CASES, TrainingTimes, benchmark_training
from frcnn_proposals.errors import MisuseError


@click.command("train")
@click.option("--case", "names", multiple=True, help="One case alone; repeatable. Default: all.")
@click.option("--rounds", type=click.IntRange(min=1), default=3, show_default=True)
@click.option("--steps", type=click.IntRange(min=1), default=4, show_default=True, help="A round.")
@options.json_file
@pass_output
def bench_train(
    output: Output, names: tuple[str, ...], rounds: int, steps: int, json_path: Path | None
) -> None:
    """Train by this toolkit, and by a plain loop with torchvision's RoI pooling, in turn.

    The same networks, generated pictures and RoIs; the plain loop is NCHW and float32 and
    prepares its images between the steps. Weights are random: they do not change the time.
    """
    unknown = set(names) - {case.name for case in CASES}
    if unknown:
        known = ", ".join(case.name for case in CASES)
        raise MisuseError(f"There is no case '{min(unknown)}'. Known: {known}.")
    cases = tuple(case for case in CASES if not names or case.name in names)
    with output.progress("Training", len(cases)) as advance:
        results = benchmark_training(cases, rounds, steps, lambda name: advance(1, name))
    output.print(_table(results))
    if json_path is not None:
        write_json(json_path, {"cases": [result.to_json() for result in results]})


def _table(results: list[TrainingTimes]) -> Table:
    table = Table(title="Seconds a training step, medians")
    stages = list(asdict(results[0].stages))
    for heading in ("case", "ours", "torchvision", "ratio", *(s.replace("_", " ") for s in stages)):
        table.add_column(heading, justify="left" if heading == "case" else "right")
    for result in results:
        shares = (f"{value / result.stages.total:.1%}" for value in asdict(result.stages).values())
        times = (f"{result.ours_s:.3f}", f"{result.torchvision_s:.3f}", f"{result.ratio:.2f}")
        table.add_row(result.name, *times, *shares)
    return table
