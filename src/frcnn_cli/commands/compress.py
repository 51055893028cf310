"""`frcnn compress`: truncated SVD of fc6 and fc7, with what it gains and costs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
from rich.markup import escape
from rich.table import Table

from frcnn_cli.commands import options
from frcnn_cli.commands.console import Output, pass_output, write_json
from frcnn_cli.commands.sources import proposals_for
from frcnn_cli.commands.targets import (
    JudgedOn,
    LoadedModel,
    open_evaluation_split,
    open_model,
    split_targets,
)
from frcnn_cli.engine.compress import Compression, parse_ranks
from frcnn_cli.engine.compress import compress as compress_model
from frcnn_cli.engine.detect_files import detect_dataset
from frcnn_cli.engine.devices import find_device
from frcnn_cli.engine.evaluation.voc import evaluate_voc
from frcnn_cli.engine.model import FastRCNN, parameter_count
from frcnn_cli.engine.models import save_model
from frcnn_cli.engine.settings import DetectSettings
from frcnn_cli.engine.timing import seconds_an_image


@click.command()
@click.argument("model", required=False)
@click.argument("dataset", required=False)
@click.option(
    "--svd-rank",
    required=True,
    help="Singular values kept: one number for fc6 and fc7, or fc6=1024,fc7=256.",
)
@click.option("--out", type=options.FilePath, help="Default: beside the model, named by rank.")
@click.option("--split", help="Split of DATASET. Default: test where it is annotated, else val.")
@options.data_root
@options.proposals
@options.source
@options.runs_root
@options.device
@options.json_file
@pass_output
def compress(
    output: Output,
    model: str | None,
    dataset: str | None,
    svd_rank: str,
    out: Path | None,
    split: str | None,
    data_root: Path | None,
    proposals: Path | None,
    source: str,
    runs_root: Path,
    device: str,
    json_path: Path | None,
) -> None:
    """Compress MODEL, by default the newest run's; with DATASET, measure mAP before and after.

    With one rank for all layers, a layer that it would not make smaller is left alone.

    \b
    frcnn compress --svd-rank 256
    frcnn compress runs/voc2007-vgg16 voc2007 --svd-rank fc6=1024,fc7=256
    """
    ranks = parse_ranks(svd_rank)
    model_path, dataset_name = split_targets(model, dataset)
    loaded = open_model(output, model_path, runs_root, find_device(device))
    compression = compress_model(loaded.model, ranks)
    for name, reason in compression.left_alone.items():
        output.warn(f"{name} is left alone: {reason}.")
    path = out or loaded.path.with_name(f"{loaded.path.stem}-svd-{_label(svd_rank)}.safetensors")
    models = (loaded.model, compression.model)
    measured: dict[str, list[float]] = {
        "parameters": [parameter_count(each) for each in models],
    }
    with output.progress("Timing", None):
        measured["seconds_an_image"] = seconds_an_image(models)
    if dataset_name is not None:
        judged = open_evaluation_split(output, loaded, dataset_name, split, data_root)
        measured["map_11point"] = _mean_precisions(output, models, judged, proposals, source)
    origin = {**loaded.origin, "compressed_from": str(loaded.path)}
    save_model(compression.model, path, origin)
    measured["bytes"] = [loaded.path.stat().st_size, path.stat().st_size]
    output.print(_layer_table(compression))
    output.print(_comparison_table(measured))
    output.print(f"Compressed model: [bold]{escape(str(path))}[/]")
    if json_path is not None:
        write_json(json_path, _as_json(loaded, path, compression, measured))


def _mean_precisions(
    output: Output,
    models: tuple[FastRCNN, FastRCNN],
    judged: JudgedOn,
    proposals: Path | None,
    source: str,
) -> list[float]:
    found = proposals_for(output, judged.dataset, proposals, source, data_root=judged.data_root)
    means = []
    with output.progress("Detecting, before and after", 2 * len(found.dataset)) as advance:
        for each in models:
            detected = detect_dataset(
                each,
                found.dataset,
                found.proposals,
                DetectSettings(score_threshold=None),
                lambda: advance(1, ""),
            )
            means.append(evaluate_voc(found.dataset, detected.detections).map_11point or 0.0)
    return means


def _layer_table(compression: Compression) -> Table:
    table = Table("layer", "shape")
    for heading in ("rank", "energy kept", "parameters before", "after"):
        table.add_column(heading, justify="right")
    for layer in compression.layers:
        table.add_row(
            layer.name,
            f"{layer.outputs} x {layer.inputs}",
            str(layer.rank),
            f"{layer.energy:.1%}",
            f"{layer.inputs * layer.outputs:,}",
            f"{layer.rank * (layer.inputs + layer.outputs):,}",
        )
    return table


def _comparison_table(measured: dict[str, list[float]]) -> Table:
    table = Table("whole model")
    for heading in ("before", "after", "after / before"):
        table.add_column(heading, justify="right")
    rows = {
        "parameters": ("parameters", "{:,.0f}"),
        "bytes": ("bytes on disk", "{:,.0f}"),
        "seconds_an_image": ("seconds an image", "{:.3f}"),
        "map_11point": ("mAP (11-point)", "{:.3f}"),
    }
    for key, (title, form) in rows.items():
        if key in measured:
            before, after = measured[key]
            ratio = f"{after / before:.2f}" if before else "-"
            table.add_row(title, form.format(before), form.format(after), ratio)
    return table


def _as_json(
    loaded: LoadedModel, path: Path, compression: Compression, measured: dict[str, list[float]]
) -> dict[str, Any]:
    return {
        "model": str(loaded.path),
        "compressed": str(path),
        "layers": {
            layer.name: {"rank": layer.rank, "energy": layer.energy} for layer in compression.layers
        },
        "left_alone": compression.left_alone,
        "before": {key: values[0] for key, values in measured.items()},
        "after": {key: values[1] for key, values in measured.items()},
    }


def _label(ranks: str) -> str:
    return ranks.replace("=", "").replace(",", "-").replace(" ", "")
