"""What `frcnn model info` prints, and writes as JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table

from frcnn_cli.engine.models.info import ModelInfo
from frcnn_cli.engine.network.layer_costs import LayerCost, NetworkCost
from frcnn_cli.engine.settings import Preprocessing
from frcnn_cli.engine.settings.fields import nested

_ROIS = 2000  # proposals of an image, as in the paper


def fact_table(found: ModelInfo) -> Table:
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


def layer_table(costs: NetworkCost) -> Table:
    """A row per layer: kind, output, parameters, multiply-adds."""
    table = Table(box=box.SIMPLE_HEAD, padding=0)
    table.add_column("layer", overflow="fold")
    table.add_column("kind")
    for heading in ("output", "parameters", "mult-adds"):
        table.add_column(heading, justify="right")
    table.add_column("", no_wrap=True)
    for layer in costs.layers:
        table.add_row(
            escape(layer.name.removeprefix("features.")),
            layer.kind,
            " x ".join(map(str, layer.output)),
            f"{layer.parameters:,}" if layer.parameters else "",
            _multiply_adds(layer),
            "frozen" if layer.frozen else "",
        )
    return table


def _multiply_adds(layer: LayerCost) -> str:
    if not layer.multiply_adds:
        return ""
    return _short(layer.multiply_adds) + ("/RoI" if layer.per == "RoI" else "")


def _short(count: int) -> str:
    for unit, size in (("G", 10**9), ("M", 10**6), ("k", 10**3)):
        if count >= size:
            return f"{count / size:.4g} {unit}"
    return str(count)


def info_to_json(found: ModelInfo) -> dict[str, Any]:
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
