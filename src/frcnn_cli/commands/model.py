"""`frcnn model info`: what a model or a backbone is made of, layer by layer."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich import box
from rich.markup import escape
from rich.table import Table

from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, pass_output, write_json
from frcnn_cli.commands.train.tables import setting_table
from frcnn_cli.engine.models.info import ModelInfo, model_info
from frcnn_cli.engine.settings import Preprocessing
from frcnn_cli.engine.settings.fields import nested

if TYPE_CHECKING:
    from frcnn_cli.engine.network.layer_costs import NetworkCost

_ROIS = 2000  # proposals of an image, as in the paper


@click.group()
def model() -> None:
    """Show what a model or a backbone is made of.

    \b
    frcnn model info
    frcnn model info vgg16
    """


@model.command(short_help="Show a model or a backbone layer by layer.")
@click.argument("name", metavar="[MODEL|BACKBONE]", required=False)
@options.runs_root
@options.json_file
@pass_output
def info(output: Output, name: str | None, runs_root: Path, json_path: Path | None) -> None:
    """Show a model, by default the newest run's, or a backbone: its layers, their shapes,
    parameters and multiply-adds, and for a model how it was made.

    BACKBONE is a name such as vgg16, or any classification network of torchvision's.

    \b
    frcnn model info runs/voc2007-efficientnet_lite2
    frcnn model info caffenet
    frcnn model info torchvision:resnet50 --json resnet50.json
    """
    found = model_info(name, runs_root)
    if found.file is not None:
        output.print(setting_table(found.file.experiment))
    output.print(_layer_table(found.costs))
    output.print(_fact_table(found))
    if json_path is not None:
        write_json(json_path, _as_json(found))


def _fact_table(found: ModelInfo) -> Table:
    """A row per fact: file, backbone, classes, input, parameters, multiply-adds."""
    facts = Table(show_header=False)
    for name, text in _facts(found):
        facts.add_row(name, escape(text))
    return facts


def _facts(found: ModelInfo) -> Iterator[tuple[str, str]]:
    architecture, costs = found.architecture, found.costs
    if found.file is not None:
        yield "model", f"{found.file.path}, {found.file.size:,} bytes"
        if found.file.compressed_from is not None:
            yield "compressed from", found.file.compressed_from
    yield "backbone", architecture.backbone
    classes = architecture.classes
    yield "classes", f"{len(classes)}: {', '.join(classes)}"
    yield "input", _pixels(architecture.preprocessing)
    if not architecture.pretrained:
        yield "weights", "not from ImageNet, so that nothing is frozen"
    yield "class scores", architecture.classifier
    yield (
        "boxes",
        f"coding {architecture.box_coding}" if architecture.box_regression else "not moved",
    )
    ranks = ", ".join(f"{layer} {rank}" for layer, rank in architecture.ranks.items())
    yield "ranks", ranks or "full"
    yield "parameters", f"{costs.parameters:,}, of them {costs.frozen_parameters:,} frozen"
    image, both = costs.multiply_adds(0), costs.multiply_adds(_ROIS)
    height, width = costs.input
    yield "multiply-adds", f"{_short(image)} an image of {height} x {width}"
    yield "", f"{_short(costs.multiply_adds(1) - image)} an RoI"
    yield "", f"{_short(both)} an image with {_ROIS:,} RoIs"


def _pixels(preprocessing: Preprocessing) -> str:
    divided = f" / {preprocessing.divisor:g}" if preprocessing.divisor != 1 else ""
    mean, std = (" ".join(f"{v:g}" for v in vs) for vs in (preprocessing.mean, preprocessing.std))
    return (
        f"{preprocessing.channels}{divided}, mean {mean}, deviation {std}; "
        f"shorter side {preprocessing.scale}, longer at most {preprocessing.max_size}"
    )


def _layer_table(costs: NetworkCost) -> Table:
    """A row per layer: kind, output, parameters, multiply-adds."""
    table = Table(box=box.SIMPLE_HEAD, padding=0)
    table.add_column("layer", overflow="fold")
    table.add_column("kind")
    for heading in ("output", "parameters", "mult-adds"):
        table.add_column(heading, justify="right")
    table.add_column("", no_wrap=True)
    for layer in costs.layers:
        per = "/RoI" if layer.per == "RoI" else ""
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
    """Everything that the tables show, as JSON values."""
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
        },
        "architecture": nested(found.architecture),
        "input": {"height": costs.input[0], "width": costs.input[1]},
        "layers": [nested(layer) for layer in costs.layers],
        "parameters": costs.parameters,
        "frozen_parameters": costs.frozen_parameters,
        "multiply_adds": {"image": image, "roi": costs.multiply_adds(1) - image},
    }
