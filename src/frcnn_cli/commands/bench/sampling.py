"""`frcnn bench sampling`: hierarchical against RoI-centric sampling."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table

from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, pass_output, write_json
from frcnn_cli.commands.shared.tables import make_table
from frcnn_cli.engine.datasets.locate import locate
from frcnn_proposals.wording import counted

if TYPE_CHECKING:
    from frcnn_cli.engine.benchmarks.sampling import SamplingBenchmark


@click.command("sampling")
@click.option("--dataset", "name", show_default="generated images", help="Dataset to train on.")
@click.option("--split", default="trainval", show_default=True, help="Split of the dataset.")
@options.data_root
@options.count(
    "--rounds",
    default=3,
    help="Number of timed RoI-centric mini-batches; each is timed in pieces, and a hierarchical "
    "mini-batch is timed before each piece.",
)
@options.json_file
@pass_output
def bench_sampling(
    output: Output,
    name: str | None,
    split: str,
    data_root: Path | None,
    rounds: int,
    json_path: Path | None,
) -> None:
    """Time a mini-batch of 128 RoIs, forward and backward: from 2 images and from 128 images.

    R-CNN and SPPnet train with RoIs from 128 images; here their gradients are accumulated image by
    image. According to the paper, sampling from 2 images is about 64 times faster.

    \b
    frcnn bench sampling --json sampling.json
    frcnn bench sampling --dataset voc2007 --data-root VOCdevkit
    """
    if name is not None:
        locate(name, data_root)  # an unknown dataset is reported before anything slow is imported
    from frcnn_cli.engine.benchmarks.sampling import benchmark_sampling

    result = benchmark_sampling(name, split, data_root, rounds, output)
    output.print(_table(result))
    write_json(json_path, result.to_json())


def _table(result: SamplingBenchmark) -> Table:
    from frcnn_cli.engine.benchmarks.sampling import BACKBONE, SCALE

    title = f"{result.rois} RoIs, {BACKBONE} at scale {SCALE}, {counted(result.threads, 'thread')}"
    fastest = result.hierarchical_s
    measured = {
        "hierarchical": (result.hierarchical_images, fastest, result.hierarchical_bytes),
        "roi-centric": (result.roi_centric_images, result.roi_centric_s, result.roi_centric_bytes),
    }
    rows = (
        (name, f"{images}", f"{seconds:.2f}", f"{seconds / fastest:.1f}", f"{memory / 1e6:.0f}")
        for name, (images, seconds, memory) in measured.items()
    )
    return make_table(title, ("sampling", "images", "s per batch", "ratio", "memory, MB"), rows)
