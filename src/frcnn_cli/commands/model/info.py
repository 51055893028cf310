"""`frcnn model info`: the layers, size and cost of a model or a backbone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich import box
from rich.markup import escape
from rich.table import Table

from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, pass_output, write_json
from frcnn_cli.commands.shared.tables import FoldedTable
from frcnn_cli.commands.train.tables import setting_table
from frcnn_cli.engine.models.info import ModelInfo, model_info
from frcnn_cli.engine.models.presets import closest_preset
from frcnn_cli.engine.models.shipped.table import shipped_name
from frcnn_cli.engine.models.store import note_model
from frcnn_cli.engine.models.supervision import supervision
from frcnn_cli.engine.settings import DetectSettings, Preprocessing
from frcnn_cli.engine.settings.fields import nested

if TYPE_CHECKING:
    from frcnn_cli.engine.network.layer_costs import NetworkCost

_ROIS = 2000  # proposals per image, as in the paper


@click.command()
@click.argument("name", metavar="[MODEL|BACKBONE]", required=False)
@options.runs_root
@options.json_file
@pass_output
def info(output: Output, name: str | None, runs_root: Path, json_path: Path | None) -> None:
    """Show the layers of MODEL (default: the newest run's model, or else voc) or BACKBONE: shapes,
    parameters and multiply-adds.

    For a model, also show its training settings; for a shipped model, also its card. BACKBONE is a
    name such as vgg16, or torchvision:NAME for a classification network of torchvision.

    \b
    frcnn model info runs/voc2007-efficientnet_lite2
    frcnn model info voc
    frcnn model info caffenet
    frcnn model info torchvision:resnet50 --json resnet50.json
    """
    found = model_info(name, runs_root)
    if found.file is not None:
        note_model(output, found.file.path, None if name is None else Path(name), runs_root)
        experiment = found.file.experiment
        output.print(setting_table(experiment, closest_preset(experiment)))
    output.print(_layer_table(found.costs))
    output.print(_fact_table(_facts(found)))
    if found.file is not None and found.file.card:
        output.print(_fact_table(found.file.card.items()))
    if json_path is not None:
        write_json(json_path, _as_json(found))


def _fact_table(facts: Iterable[tuple[str, str]]) -> Table:
    """One row per property, such as backbone, classes, parameters."""
    table = FoldedTable("property", "value", show_header=False)
    for name, text in facts:
        table.add_row(name, escape(text))
    return table


def _facts(found: ModelInfo) -> Iterator[tuple[str, str]]:
    architecture, costs = found.architecture, found.costs
    if found.file is not None:
        name = shipped_name(found.file.path)
        shipped = "" if name is None else f"{name}, shipped with frcnn: "
        yield "model", f"{shipped}{found.file.path}, {found.file.size:,} bytes"
        if found.file.compressed_from is not None:
            yield "compressed from", found.file.compressed_from
    yield "backbone", architecture.backbone
    classes = architecture.classes
    yield "classes", f"{len(classes)}: {', '.join(classes)}"
    yield "input", _pixels(architecture.preprocessing)
    if not architecture.pretrained:
        yield "weights", "not from ImageNet (no layer is frozen)"
    yield "class scores", architecture.classifier
    if found.file is not None and (words := supervision(found.file.experiment)) is not None:
        yield "trained from", words
    yield (
        "boxes",
        f"coding {architecture.box_coding}" if architecture.box_regression else "no regression",
    )
    parts = {"second head": architecture.cascade, "ranker": architecture.ranker}
    if any(parts.values()):
        yield "further parts", ", ".join(name for name, present in parts.items() if present)
    ranks = ", ".join(f"{layer} {rank}" for layer, rank in architecture.ranks.items())
    yield "ranks", ranks or "full"
    yield "parameters", f"{costs.parameters:,} ({costs.frozen_parameters:,} frozen)"
    image, total = costs.multiply_adds(0), costs.multiply_adds(_ROIS)
    height, width = costs.input
    yield "multiply-adds", f"{_short(image)} per image of {height} x {width}"
    yield "", f"{_short(costs.multiply_adds(1) - image)} per RoI"
    best = any(layer.per == "best RoI" for layer in costs.layers)
    most = f", the best {DetectSettings().max_proposals} in all layers" if best else ""
    yield "", f"{_short(total)} per image with {_ROIS:,} RoIs{most}"


def _pixels(preprocessing: Preprocessing) -> str:
    divided = f" / {preprocessing.divisor:g}" if preprocessing.divisor != 1 else ""
    mean, std = (" ".join(f"{v:g}" for v in vs) for vs in (preprocessing.mean, preprocessing.std))
    when = "before" if preprocessing.resize == "uint8" else "after"
    return (
        f"{preprocessing.channels}{divided}, mean {mean}, standard deviation {std}; "
        f"resized {when} normalising; "
        f"shorter side {preprocessing.scale}, longer side at most {preprocessing.max_size}"
    )


def _layer_table(costs: NetworkCost) -> Table:
    """One row per layer: kind, output, parameters, multiply-adds."""
    table = FoldedTable(box=box.SIMPLE_HEAD, padding=0)
    table.add_column("layer", overflow="fold")
    table.add_column("kind")
    for heading in ("output", "parameters", "mult-adds"):
        table.add_column(heading, justify="right")
    table.add_column("")
    for layer in costs.layers:
        per = "" if layer.per == "image" else f"/{layer.per}"
        multiply_adds = _short(layer.multiply_adds) + per if layer.multiply_adds else ""
        table.add_row(
            escape(layer.name.removeprefix("features.")),
            layer.kind,
            " x ".join(map(str, layer.output)),
            f"{layer.parameters:,}" if layer.parameters else "",
            multiply_adds,
            "frozen" if layer.frozen else "",
        )
    return table


def _short(count: int) -> str:
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if count >= size:
            return f"{count / size:.4g} {unit}"
    return str(count)


def _as_json(found: ModelInfo) -> dict[str, Any]:
    """The contents of the tables as JSON values."""
    costs, file = found.costs, found.file
    image = costs.multiply_adds(0)
    return {
        "file": None
        if file is None
        else {
            "path": str(file.path),
            "bytes": file.size,
            "experiment": nested(file.experiment),
            "compressed_from": file.compressed_from,
            "card": dict(file.card),
        },
        "architecture": nested(found.architecture),
        "input": {"height": costs.input[0], "width": costs.input[1]},
        "layers": [nested(layer) for layer in costs.layers],
        "parameters": costs.parameters,
        "frozen_parameters": costs.frozen_parameters,
        "multiply_adds": {"image": image, "roi": costs.multiply_adds(1) - image},
    }
