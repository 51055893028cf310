"""What `frcnn compress` prints, and writes as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rich.table import Table

from frcnn_cli.engine.compression.costs import Cost
from frcnn_cli.engine.compression.layers import CompressedLayer
from frcnn_cli.engine.compression.search import Search
from frcnn_cli.engine.detection.stage_times import NETWORK_STAGES
from frcnn_cli.engine.records import Dataset

STAGE_TITLES = {
    "conv": "convolutions",
    "roi_pooling": "RoI pooling",
    "fc6": "fc6",
    "fc7": "fc7",
    "rest": "the rest",
}


@dataclass(frozen=True)
class Measured:
    """A model's costs, the size of its file, and its mAP where a data set was named.

    map_in_float32: where weights are stored in bfloat16, mAP before they are rounded.
    """

    cost: Cost
    bytes: int
    map_11point: float | None = None
    map_in_float32: float | None = None

    def to_json(self) -> dict[str, Any]:
        """As JSON values; what was not measured is not there."""
        values = {**self.cost.to_json(), "bytes": self.bytes}
        maps = {"map_11point": self.map_11point, "map_11point_float32": self.map_in_float32}
        return values | {name: value for name, value in maps.items() if value is not None}


def layer_table(layers: Sequence[CompressedLayer]) -> Table:
    """A row a replaced layer: shape, rank, energy kept, numbers before and after."""
    table = Table("layer", "shape")
    for heading in ("rank", "energy kept", "parameters before", "after"):
        table.add_column(heading, justify="right")
    for layer in layers:
        table.add_row(
            layer.name,
            f"{layer.outputs} x {layer.inputs}",
            str(layer.rank),
            f"{layer.energy:.1%}",
            f"{layer.weights_before:,}",
            f"{layer.weights:,}",
        )
    return table


def cost_table(old: Cost, new: Cost, others: Sequence[tuple[str, str, float, float]] = ()) -> Table:
    """Before, after and their ratio: size, arithmetic, time by stage, and what else is given.

    others: title, format, value before and after.
    """
    table = Table("whole model")
    for heading in ("before", "after", "after / before"):
        table.add_column(heading, justify="right")
    stages = [
        (f"  {STAGE_TITLES[stage]}", "{:.3f}", old.times.stages[stage], new.times.stages[stage])
        for stage in NETWORK_STAGES
    ]
    for title, form, before, after in (
        ("parameters", "{:,.0f}", old.parameters, new.parameters),
        ("multiply-adds an image", "{:,.0f}", old.multiply_adds, new.multiply_adds),
        ("seconds an image", "{:.3f}", old.times.seconds, new.times.seconds),
        *stages,
        *others,
    ):
        ratio = f"{after / before:.2f}" if before else "-"
        table.add_row(title, form.format(before), form.format(after), ratio)
    return table


def file_rows(before: Measured, after: Measured) -> list[tuple[str, str, float, float]]:
    """Rows of a cost table about the files: bytes, and mAP where it was measured."""
    rows = [("bytes on disk", "{:,.0f}", float(before.bytes), float(after.bytes))]
    for title, value in (
        ("mAP (11-point), float32", after.map_in_float32),
        ("mAP (11-point)", after.map_11point),
    ):
        if before.map_11point is not None and value is not None:
            rows.append((title, "{:.3f}", before.map_11point, value))
    return rows


def images_to_json(dataset: Dataset) -> dict[str, Any]:
    """What mAP was measured on."""
    return {"name": dataset.name, "split": dataset.split, "images": len(dataset)}


def trials_to_json(search: Search) -> list[dict[str, Any]]:
    """Each choice of ranks that was judged: its ranks, and the mAP points it lost."""
    return [
        {
            "ranks": trial.rung.choice.ranks,
            "map_11point": trial.map_11point,
            "drop": 100 * (search.before - trial.map_11point),
        }
        for trial in search.trials
    ]
