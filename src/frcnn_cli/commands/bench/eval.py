"""`frcnn bench eval`: time the scoring of detections."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table

from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, pass_output, write_json
from frcnn_cli.commands.shared.tables import make_table
from frcnn_proposals.wording import counted

if TYPE_CHECKING:
    from frcnn_cli.engine.benchmarks.evaluation import EvaluationBenchmark


@click.command("eval")
@click.option("--images", default=4952, show_default=True, help="Number of generated images.")
@click.option(
    "--detections",
    "detections_an_image",
    default=100,
    show_default=True,
    help="Number of detections per image.",
)
@click.option("--classes", default=20, show_default=True, help="Number of classes.")
@click.option(
    "--repeats", default=3, show_default=True, help="Number of timed runs; medians are shown."
)
@options.json_file
@pass_output
def bench_eval(output: Output, /, json_path: Path | None, **sizes: int) -> None:
    """Time the scoring of detections at IoU 0.5 against pycocotools, interleaved.

    By default, half a million generated detections are scored.

    \b
    frcnn bench eval --json eval.json
    """
    from frcnn_cli.engine.benchmarks.evaluation import benchmark_evaluation

    result = benchmark_evaluation(**sizes, reporter=output)
    output.print(_table(result))
    write_json(json_path, result.to_json())


def _table(result: EvaluationBenchmark) -> Table:
    reading = result.theirs.read / result.ours.read
    ratios = (reading, result.speedup, result.speedup_with_reading)
    rows = [
        (name, *(f"{seconds:.2f}" for seconds in (times.read, times.score, times.total)))
        for name, times in (("frcnn", result.ours), ("pycocotools", result.theirs))
    ]
    rows.append(("times as fast", *(f"{ratio:.1f}" for ratio in ratios)))
    classes = counted(result.classes, "class", "classes")
    title = f"{counted(result.detections, 'detection')}, {classes}, IoU 0.5"
    return make_table(title, ("seconds, medians", "read", "score", "total"), rows)
