"""`frcnn bench detect`: our detection against a baseline of standard parts, by stage."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table

from frcnn_cli.commands.bench.cases import cases_option, choose_cases
from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, pass_output, write_json
from frcnn_cli.commands.shared.tables import make_table
from frcnn_cli.engine.benchmarks.cases import DETECTION_CASES
from frcnn_proposals.errors import InputError
from frcnn_proposals.wording import counted

if TYPE_CHECKING:
    from frcnn_cli.engine.benchmarks.detect import DetectionBenchmark


@click.command("detect")
@cases_option(DETECTION_CASES)
@options.count(
    "--images",
    "count",
    default=3,
    help="Number of images, spread evenly over voc2007; generated images if it is not found.",
)
@options.count("--rounds", default=3, help="Number of timed runs per case and image.")
@options.json_file
@pass_output
def bench_detect(
    output: Output, names: str | None, count: int, rounds: int, json_path: Path | None
) -> None:
    """Time detection against the same model built from standard parts.

    The baseline uses OpenCV's selective search, the network in float32 with channels first,
    torchvision's roi_pool and nms, and a Python loop over the classes. Weights are random.
    Ratios are meaningful only on an otherwise idle machine.

    \b
    frcnn bench detect --cases lite-given,lite-made
    """
    cases = choose_cases(output, DETECTION_CASES, names)
    from frcnn_cli.engine.benchmarks.detect import TOLERANCE, benchmark_detection

    found = benchmark_detection(cases, count, rounds, output)
    kind = "VOC" if found.photographs else "generated"
    images, threads = counted(count, f"{kind} image"), counted(found.threads, "thread")
    output.print(_table(found, f"Detection in {images}, {threads}"))
    output.print(_stage_table(found))
    write_json(json_path, found.to_json())
    if found.differing:
        raise InputError(
            f"The outputs of these cases differ by more than {TOLERANCE}: "
            f"{', '.join(found.differing)}."
        )


def _table(found: DetectionBenchmark, title: str) -> Table:
    headings = ("case", "ours, s", "baseline, s", "ratio", "score diff", "box diff, px")
    rows = (
        (
            result.case.name,
            f"{result.ours_s:.3f}",
            f"{result.baseline_s:.3f}",
            f"{result.ratio:.2f}",
            f"{result.score_difference:.1e}",
            f"{result.box_difference:.1e}",
        )
        for result in found.results
    )
    return make_table(title, headings, rows, narrow=True)


def _stage_table(found: DetectionBenchmark) -> Table:
    """Share of the time per stage, as in the paper's figure 2."""
    rows = []
    for result in found.results:
        for name, who, stages in (
            (result.case.name, "ours", result.ours_stages),
            ("", "baseline", result.baseline_stages),
        ):
            total = sum(stages.values())
            rows.append((name, who, *(f"{seconds / total:.1%}" for seconds in stages.values())))
    names = (stage.replace("_", " ") for stage in found.results[0].ours_stages)
    headings = ("case", "by", *names)
    return make_table("Share of the time per stage", headings, rows, names=2, narrow=True)
