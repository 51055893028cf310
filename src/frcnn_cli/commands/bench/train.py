"""`frcnn bench train` and `frcnn bench train-options`: time of a training step."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from frcnn_cli.commands.bench.cases import cases_option, choose_cases
from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, pass_output, write_json
from frcnn_cli.commands.shared.tables import make_table
from frcnn_cli.engine.benchmarks.cases import STEP_OPTIONS, TRAINING_CASES

_OPTION_NAMES = ", ".join(option.name for option in STEP_OPTIONS)
_NETWORKS = {case.name: case for case in TRAINING_CASES if case.precision == "float32"}
_steps = options.count("--steps", default=4, help="Number of training steps per round.")


@click.command("train")
@cases_option(TRAINING_CASES)
@options.count("--rounds", default=3, help="Number of rounds per case.")
@_steps
@options.json_file
@pass_output
def bench_train(
    output: Output, names: str | None, rounds: int, steps: int, json_path: Path | None
) -> None:
    """Time training steps of this toolkit against a plain loop, interleaved.

    Both train the same networks on the same generated images and RoIs. The plain loop uses
    torchvision's RoI pooling, NCHW and float32, and prepares its images between the steps. Weights
    are random, which does not change the time.

    \b
    frcnn bench train --rounds 5 --json train.json
    """
    cases = choose_cases(output, TRAINING_CASES, names)
    from frcnn_cli.engine.benchmarks.train import benchmark_training

    results = benchmark_training(cases, rounds, steps, output)
    rows = (
        (times.name, f"{times.ours_s:.3f}", f"{times.torchvision_s:.3f}", f"{times.ratio:.2f}")
        for times in results
    )
    title, headings = "Seconds per training step, medians", ("case", "ours", "torchvision", "ratio")
    output.print(make_table(title, headings, rows, narrow=True))
    shares = (
        (
            times.name,
            *(f"{value / times.stages.total:.1%}" for value in asdict(times.stages).values()),
        )
        for times in results
    )
    stage_headings = ("case", *(stage.replace("_", " ") for stage in asdict(results[0].stages)))
    output.print(make_table("Share of our time per stage", stage_headings, shares, narrow=True))
    write_json(json_path, {"cases": [result.to_json() for result in results]})


@click.command("train-options")
@click.option(
    "--case",
    type=click.Choice(list(_NETWORKS)),
    default="lite",
    show_default=True,
    help="Network to train.",
)
@click.option(
    "--ways",
    "names",
    metavar="NAME,NAME,...",
    show_default="all",
    help=f"Run only these: {_OPTION_NAMES}.",
)
@options.count("--rounds", default=3, help="Number of rounds per option.")
@_steps
@options.json_file
@pass_output
def bench_train_options(
    output: Output, case: str, names: str | None, rounds: int, steps: int, json_path: Path | None
) -> None:
    """Time training steps with the usual options and with one changed, interleaved.

    The options are channels first instead of last, no frozen layer, bfloat16 arithmetic, compiled
    feature layers, and training from image labels (wsddn, oicr), which reads 1,000 RoIs per image.
    All train on the same generated images, which are prepared before timing.

    \b
    frcnn bench train-options --case lite --json options.json
    """
    step_options = choose_cases(output, STEP_OPTIONS, names)
    from frcnn_cli.engine.benchmarks.train import benchmark_step_options

    found = benchmark_step_options(_NETWORKS[case], step_options, rounds, steps, output)
    headings = ("way", "seconds", f"{step_options[0].name} / this")
    rows = ((time.name, f"{time.seconds:.3f}", f"{time.ratio:.2f}") for time in found)
    title = f"{case}: seconds per training step, medians"
    output.print(make_table(title, headings, rows, narrow=True))
    write_json(json_path, {"case": case, "ways": [asdict(time) for time in found]})
