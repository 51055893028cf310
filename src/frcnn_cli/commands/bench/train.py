"""`frcnn bench train` and `frcnn bench train-options`: how fast a training step is, and why."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from frcnn_cli.commands.bench.cases import cases_option, choose_cases
from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, pass_output, write_json
from frcnn_cli.commands.shared.tables import make_table
from frcnn_cli.engine.benchmarks.cases import STEP_OPTIONS, TRAINING_CASES

_WAYS = ", ".join(option.name for option in STEP_OPTIONS)
_NETWORKS = {case.name: case for case in TRAINING_CASES if case.precision == "float32"}
_steps = options.count("--steps", default=4, help="Per round.")


@click.command("train")
@cases_option(TRAINING_CASES)
@options.count("--rounds", default=3, help="Of each case.")
@_steps
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
    cases = choose_cases(output, TRAINING_CASES, names)
    from frcnn_cli.engine.benchmarks.train import benchmark_training

    results = benchmark_training(cases, rounds, steps, output)
    times = (
        (each.name, f"{each.ours_s:.3f}", f"{each.torchvision_s:.3f}", f"{each.ratio:.2f}")
        for each in results
    )
    title, headings = "Seconds per training step, medians", ("case", "ours", "torchvision", "ratio")
    output.print(make_table(title, headings, times, narrow=True))
    shares = (
        (each.name, *(f"{value / each.stages.total:.1%}" for value in asdict(each.stages).values()))
        for each in results
    )
    stage_headings = ("case", *(stage.replace("_", " ") for stage in asdict(results[0].stages)))
    output.print(make_table("Where our time goes", stage_headings, shares, narrow=True))
    write_json(json_path, {"cases": [result.to_json() for result in results]})


@click.command("train-options")
@click.option(
    "--case",
    type=click.Choice(list(_NETWORKS)),
    default="lite",
    show_default=True,
    help="The network that is trained.",
)
@click.option("--ways", "names", help=f"Some of {_WAYS}.")
@options.count("--rounds", default=3, help="Of each way.")
@_steps
@options.json_file
@pass_output
def bench_train_options(
    output: Output, case: str, names: str | None, rounds: int, steps: int, json_path: Path | None
) -> None:
    """Train in the usual way, and with one thing changed, in turn.

    Channels first in place of last, no layer frozen, bfloat16 arithmetic, or compiled feature
    layers; on the same generated pictures, which are prepared before the clock runs.

    \b
    frcnn bench train-options --case lite --json options.json
    """
    step_options = choose_cases(output, STEP_OPTIONS, names)
    from frcnn_cli.engine.benchmarks.train import benchmark_step_options

    found = benchmark_step_options(_NETWORKS[case], step_options, rounds, steps, output)
    headings = ("way", "seconds", f"{step_options[0].name} / this")
    rows = ((time.name, f"{time.seconds:.3f}", f"{time.ratio:.2f}") for time in found)
    title = f"{case}: seconds a training step, medians"
    output.print(make_table(title, headings, rows, narrow=True))
    write_json(json_path, {"case": case, "ways": [asdict(time) for time in found]})
