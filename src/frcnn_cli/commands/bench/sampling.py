"""`frcnn bench sampling`: hierarchical sampling beside RoI-centric."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from rich.table import Table

from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, pass_output, write_json
from frcnn_cli.commands.shared.tables import make_table
from frcnn_cli.engine.datasets.locate import locate

if TYPE_CHECKING:
    from frcnn_cli.engine.benchmarks.sampling import SamplingBenchmark


@click.command("sampling")
@click.option("--dataset", "name", help="Data set. Default: pictures generated for the purpose.")
@click.option("--split", default="trainval", show_default=True, help="Of the data set.")
@options.data_root
@options.count(
    "--rounds",
    default=3,
    help="Times that the long one is run; the short one is run before each piece of it.",
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
    """Time a mini-batch of 128 RoIs, forward and backward: from 2 images, and from 128.

    The second is how R-CNN and SPPnet train; its gradient is accumulated image by image. The
    paper puts the difference at about 64 times.

    \b
    frcnn bench sampling --json sampling.json
    frcnn bench sampling --dataset voc2007 --data-root VOCdevkit
    """
    if name is not None:
        locate(name, data_root)  # an unknown one is reported before anything slow is imported
    from frcnn_cli.engine.benchmarks.sampling import benchmark_sampling

    result = benchmark_sampling(name, split, data_root, rounds, output)
    output.print(_table(result))
    write_json(json_path, result.to_json())


def _table(result: SamplingBenchmark) -> Table:
    from frcnn_cli.engine.benchmarks.sampling import BACKBONE, SCALE

    title = f"{result.rois} RoIs, {BACKBONE} at scale {SCALE}, {result.threads} threads"
    whole = result.hierarchical_s
    measured = {
        "hierarchical": (result.hierarchical_images, whole, result.hierarchical_bytes),
        "roi-centric": (result.roi_centric_images, result.roi_centric_s, result.roi_centric_bytes),
    }
    rows = (
        (name, f"{images}", f"{seconds:.2f}", f"{seconds / whole:.1f}", f"{memory / 1e6:.0f}")
        for name, (images, seconds, memory) in measured.items()
    )
    return make_table(title, ("sampling", "images", "s per batch", "times", "memory, MB"), rows)
