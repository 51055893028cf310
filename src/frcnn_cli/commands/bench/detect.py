"""`frcnn bench detect`: our detection beside one of usual parts, stage by stage."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich import box
from rich.table import Table

from frcnn_cli.commands.bench.cases import cases_option, native_cases
from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, pass_output, write_json
from frcnn_cli.engine.benchmarks.cases import DETECTION_CASES
from frcnn_proposals.errors import InputError

if TYPE_CHECKING:
    from frcnn_cli.engine.benchmarks.detect import DetectionResult


@click.command("detect")
@cases_option(DETECTION_CASES)
@click.option(
    "--images",
    "count",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="How many, spread evenly over the VOC images of the shared data.",
)
@click.option(
    "--rounds",
    type=click.IntRange(min=1),
    default=3,
    show_default=True,
    help="Times that each is run on each image.",
)
@options.json_file
@pass_output
def bench_detect(
    output: Output, names: str | None, count: int, rounds: int, json_path: Path | None
) -> None:
    """Time detection beside the same model put together from usual parts.

    Those are OpenCV's selective search, the network in float32 with channels first,
    torchvision's roi_pool and nms, and a Python loop over the classes. Weights are random.
    Ratios mean something on a machine that does nothing else.

    \b
    frcnn bench detect --cases lite-given,lite-made
    """
    cases = native_cases(output, DETECTION_CASES, names)
    from frcnn_cli.engine.benchmarks.detect import TOLERANCE, benchmark_detection

    found = benchmark_detection(cases, count, rounds, output)
    kind = "VOC" if found.photographs else "generated"
    title = f"Detection in {count} {kind} images, {found.threads} threads"
    output.print(_table(found.results, title))
    output.print(_stage_table(found.results))
    if json_path is not None:
        write_json(json_path, found.to_json())
    if found.differing:
        raise InputError(f"Outputs differ by more than {TOLERANCE}: {', '.join(found.differing)}.")


def _table(results: Sequence[DetectionResult], title: str) -> Table:
    table = Table(title=title, box=box.SIMPLE_HEAD)
    table.add_column("case", no_wrap=True)
    for heading in ("ours, s", "baseline, s", "ratio", "scores apart", "boxes apart, px"):
        table.add_column(heading, justify="right")
    for result in results:
        table.add_row(
            result.case.name,
            f"{result.ours_s:.3f}",
            f"{result.baseline_s:.3f}",
            f"{result.ratio:.2f}",
            f"{result.score_difference:.1e}",
            f"{result.box_difference:.1e}",
        )
    return table


def _stage_table(results: Sequence[DetectionResult]) -> Table:
    """Shares of the time, as in the paper's figure 2."""
    stages = tuple(results[0].ours_stages)
    table = Table(title="Where the time goes", box=box.SIMPLE_HEAD)
    table.add_column("case", no_wrap=True)
    table.add_column("by")
    for stage in stages:
        table.add_column(stage.replace("_", " "), justify="right")
    for result in results:
        for who, seconds, whole in (
            ("ours", result.ours_stages, result.ours_s),
            ("baseline", result.baseline_stages, result.baseline_s),
        ):
            shares = (f"{seconds[stage] / whole:.1%}" for stage in stages)
            table.add_row(result.case.name if who == "ours" else "", who, *shares)
    return table
