"""`frcnn bench video`: detection in a generated video, by source of proposals."""

from __future__ import annotations

from pathlib import Path

import click

from frcnn_cli.commands.bench.cases import cases_option, choose_cases
from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, pass_output, write_json
from frcnn_cli.commands.shared.tables import make_table
from frcnn_cli.engine.benchmarks.cases import VIDEO_CASES
from frcnn_cli.engine.datasets.locate import locate
from frcnn_proposals.wording import counted


@click.command("video")
@click.option(
    "--dataset", "name", default="voc2007", show_default=True, help="Dataset of the photographs."
)
@click.option("--split", default="test", show_default=True, help="Split of the dataset.")
@options.data_root
@click.option(
    "--model",
    type=options.AnyPath,
    default=Path("voc"),
    show_default=True,
    help="Model to time.",
)
@options.runs_root
@cases_option(VIDEO_CASES)
@options.count("--clips", default=16, help="Number of photographs, spread evenly over the split.")
@options.count("--frames", default=10, help="Number of frames of each photograph.")
@options.json_file
@pass_output
def bench_video(
    output: Output,
    name: str,
    split: str,
    data_root: Path | None,
    model: Path,
    runs_root: Path,
    names: str | None,
    clips: int,
    frames: int,
    json_path: Path | None,
) -> None:
    """Time detection in a video of 640 x 480 pixels, and measure its mAP.

    The video shows photographs of a dataset through a moving window; objects of other photographs
    pass over some of them. The video is read, processed, annotated and written as by `frcnn
    detect`. Times are per frame: processor time of all threads, the part of it for proposals, and
    elapsed time. Frames per second are meaningful only on an otherwise idle machine. mAP is the
    mean area under the precision-recall curves.

    \b
    frcnn bench video --data-root VOCdevkit --cases tracked,tracked-small
    """
    locate(name, data_root)  # an unknown dataset is reported before anything slow is imported
    from frcnn_cli.engine.benchmarks.video import benchmark_video

    cases = choose_cases(output, VIDEO_CASES, names)
    found = benchmark_video(name, split, data_root, model, runs_root, cases, clips, frames, output)
    rows = (
        (
            each.case.name,
            f"{each.boxes:.0f}",
            f"{each.proposals_s * 1e3:.1f}",
            f"{each.processor_s * 1e3:.1f}",
            f"{each.elapsed_s * 1e3:.1f}",
            f"{1 / each.elapsed_s:.1f}",
            "-" if each.map_area is None else f"{each.map_area * 100:.1f}",
        )
        for each in found.results
    )
    title = f"{counted(found.frames, 'frame')}, {counted(found.threads, 'thread')}"
    headings = ("case", "boxes", "proposals, ms", "in all, ms", "elapsed, ms", "frames/s", "mAP")
    output.print(make_table(title, headings, rows))
    write_json(json_path, found.to_json())
