"""`frcnn bench train-options`: what each way of making a training step quicker brings."""

from __future__ import annotations

from pathlib import Path

import click
from rich import box
from rich.table import Table

from frcnn_cli.commands.bench.cases import native_cases
from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, pass_output, write_json
from frcnn_cli.engine.benchmarks.cases import STEP_OPTIONS, TRAINING_CASES

_NAMES = ", ".join(option.name for option in STEP_OPTIONS)
NETWORKS = {case.name: case for case in TRAINING_CASES if case.precision == "float32"}


@click.command("train-options")
@click.option(
    "--case",
    type=click.Choice(list(NETWORKS)),
    default="lite",
    show_default=True,
    help="The network that is trained.",
)
@click.option("--ways", "names", help=f"Some of {_NAMES}.")
@click.option(
    "--rounds", type=click.IntRange(min=1), default=3, show_default=True, help="Of each way."
)
@click.option("--steps", type=click.IntRange(min=1), default=4, show_default=True, help="A round.")
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
    step_options = native_cases(output, STEP_OPTIONS, names)
    from frcnn_cli.engine.benchmarks.train import benchmark_step_options

    found = benchmark_step_options(NETWORKS[case], step_options, rounds, steps, output)
    title = f"{case}: seconds a training step, medians"
    table = Table("way", title=title, box=box.SIMPLE_HEAD)
    for heading in ("seconds", f"{step_options[0].name} / this"):
        table.add_column(heading, justify="right")
    for time in found:
        table.add_row(time.name, f"{time.seconds:.3f}", f"{time.ratio:.2f}")
    output.print(table)
    if json_path is not None:
        write_json(json_path, {"case": case, "ways": [time.to_json() for time in found]})
