"""`frcnn compress`: truncated SVD of fc6 and fc7, measured before and after."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.markup import escape

from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, pass_output, write_json
from frcnn_cli.commands.shared.detection_options import (
    check_data,
    precision,
    split_arguments,
    take,
)
from frcnn_cli.commands.shared.paths import format_of
from frcnn_cli.engine.compression.bounds import BoundOptions
from frcnn_cli.engine.models.store import find_model
from frcnn_cli.engine.settings import PrecisionChoice
from frcnn_cli.engine.settings.options import DataOptions
from frcnn_proposals.files import check_writable, reject_same_file, write_whole


@dataclass(frozen=True)
class CompressOptions:
    """All options: the model, its bound, and the images to measure mAP on."""

    model: Path | None
    how: BoundOptions
    data: DataOptions
    plot: Path
    out: Path | None
    precision: PrecisionChoice
    runs_root: Path
    device: str
    json_path: Path | None


@click.command()
@click.argument("model", required=False)
@click.argument("dataset", required=False)
@click.option("--svd-rank", help="Rank to truncate to: one for both layers, or fc6=1024,fc7=256.")
@click.option(
    "--energy",
    type=float,
    metavar="SHARE",
    help="Use the smallest ranks that keep this share of the squared singular values, "
    "for example 0.9.",
)
@click.option(
    "--budget",
    metavar="SHARE",
    help="Use the best ranks within this share of the original time, for example 0.7x.",
)
@click.option(
    "--max-drop",
    type=float,
    metavar="POINTS",
    help="Use the smallest layers that lose at most this many mAP points, on a split that the "
    "model was not trained on.",
)
@click.option("--half", is_flag=True, help="Store weights in bfloat16, which halves the file size.")
@click.option(
    "--sweep",
    metavar="N,N,...",
    help="Measure mAP and time at each of these ranks, without writing a model.",
)
@options.plot_of_sweep("map-by-rank.png")
@click.option(
    "--out",
    type=options.OutputFile,
    show_default="next to the model, such as model-svd-256.safetensors; in the current folder for "
    "a shipped model",
    help="File for the compressed model.",
)
@click.option(
    "--split",
    show_default="test if annotated, otherwise val; with --max-drop: val",
    help="Split of DATASET to measure mAP on.",
)
@options.data_root
@options.proposals
@options.source
@options.allow_mismatch
@precision
@options.runs_root
@options.device
@options.json_file
@pass_output
def compress(output: Output, /, model: str | None, dataset: str | None, **given: Any) -> None:
    """Compress fc6 and fc7 of MODEL (default: the newest run's model, or else voc) by truncated
    SVD.

    With DATASET, mAP is measured before and after. Choose the ranks by one of --svd-rank,
    --energy, --budget and --max-drop, or compare ranks with --sweep. If one rank is given for
    both layers, a layer that would not get smaller is not compressed.

    \b
    frcnn compress --svd-rank 256
    frcnn compress runs/voc2007-vgg16 voc2007 --svd-rank fc6=1024,fc7=256
    frcnn compress --max-drop 0.3 --half
    frcnn compress --sweep 64,128,256,512 voc2007
    """
    how = take(BoundOptions, given)
    bound, ranks = how.bound(), how.sweep_ranks()
    path, name = split_arguments(model, dataset, given["runs_root"], given["data_root"])
    chosen = CompressOptions(path, how, take(DataOptions, given, dataset=name), **given)
    source = find_model(path, chosen.runs_root)
    target = chosen.out or how.file_beside(source)
    _check(chosen, source, target)
    from frcnn_cli.commands.compress import tables
    from frcnn_cli.engine.compression.choose import compress_model, open_images_for
    from frcnn_cli.engine.compression.sweep import sweep_plot, sweep_ranks
    from frcnn_cli.engine.distributed.devices import find_device
    from frcnn_cli.engine.models.loaded import open_model

    device = find_device(chosen.device)
    loaded = open_model(path, chosen.runs_root, device, chosen.precision, output)
    images = open_images_for(loaded, how, chosen.data, output)
    if ranks is not None:
        assert images is not None
        sweep = sweep_ranks(loaded, ranks, images, how.half, output)
        output.print(tables.sweep_table(sweep))
        write_whole(chosen.plot, sweep_plot(sweep, format_of(chosen.plot)))
        output.print_file(f"Plot: [bold]{escape(str(chosen.plot))}[/]")
        values = tables.sweep_to_json(sweep)
    else:
        compressed = compress_model(loaded, bound, target, images, how.half, output)
        if compressed.compression.layers:
            output.print(tables.layer_table(compressed.compression.layers))
        output.print(tables.compression_table(compressed))
        output.print_file(f"Compressed model: [bold]{escape(str(target))}[/]")
        values = tables.compression_to_json(compressed)
    if chosen.json_path is not None:
        write_json(chosen.json_path, values)
        output.note_file("Results", chosen.json_path)


def _check(chosen: CompressOptions, source: Path, target: Path) -> None:
    """Report missing inputs and unwritable outputs before anything slow is imported."""
    check_data(chosen.data)
    if chosen.out is not None:
        reject_same_file(source, target)
    check_writable(target if chosen.how.sweep is None else chosen.plot)
