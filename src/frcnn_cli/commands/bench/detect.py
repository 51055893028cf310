"""`frcnn bench detect`: our detection against a baseline of standard parts, by stage."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table

from frcnn_cli.commands.bench.cases import bench_device, cases_option, choose_cases
from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, pass_output, write_json
from frcnn_cli.commands.shared.tables import make_table
from frcnn_cli.engine.benchmarks.cases import DETECTION_CASES
from frcnn_proposals.errors import InputError
from frcnn_proposals.wording import counted

if TYPE_CHECKING:
    from frcnn_cli.engine.benchmarks.detect import DetectionBenchmark
    from frcnn_cli.engine.benchmarks.pipeline import PipelineTimes


@click.command("detect")
@cases_option(DETECTION_CASES)
@options.count(
    "--images",
    "count",
    default=3,
    help="Number of images, spread evenly over voc2007; generated images if it is not found.",
)
@options.count("--rounds", default=3, help="Number of timed runs per case and image.")
@bench_device
@options.json_file
@pass_output
def bench_detect(
    output: Output,
    names: str | None,
    count: int,
    rounds: int,
    device: str,
    json_path: Path | None,
) -> None:
    """Time detection against the same model built from standard parts.

    The baseline uses OpenCV's selective search, the network in float32 with channels first,
    torchvision's roi_pool and nms, and a Python loop over the classes. Weights are random.
    Ratios are meaningful only on an otherwise idle machine.

    On a GPU, detection in many images is timed, too: the images per second for each number of
    workers (threads that decode images and compute proposals), and the share of the time in which
    the GPU waits.

    \b
    frcnn bench detect --cases lite-given,lite-made
    """
    cases = choose_cases(output, DETECTION_CASES, names, device)
    from frcnn_cli.engine.benchmarks.detect import TOLERANCE, benchmark_detection
    from frcnn_cli.engine.distributed.devices import find_device

    where = find_device(device)
    found = benchmark_detection(cases, count, rounds, where, output)
    kind = "VOC" if found.photographs else "generated"
    images = counted(count, f"{kind} image")
    by = counted(found.threads, "thread") if where.type == "cpu" else str(where)
    output.print(_table(found, f"Detection in {images}, {by}"))
    output.print(_stage_table(found))
    if found.pipelines:
        output.print(_pipeline_table(found.pipelines))
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


def _pipeline_table(pipelines: Sequence[PipelineTimes]) -> Table:
    """Detection in many images by number of workers, and where the time goes."""
    headings = (
        *("case", "workers", "images/s", "search, ms", "copy, ms", "network, ms", "after, ms"),
        *("no image ready", "device waits"),
    )
    rows = (
        (
            times.name,
            str(times.workers),
            f"{times.images_per_s:.1f}",
            *(
                f"{seconds * 1e3:.1f}"
                for seconds in (times.search_s, times.copy_s, times.network_s, times.after_s)
            ),
            f"{times.no_image:.1%}",
            f"{times.waiting:.1%}",
        )
        for times in pipelines
    )
    title = f"Detection in {counted(pipelines[0].images, 'image')}, times per image"
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
