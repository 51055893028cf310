"""Tables and JSON values of `frcnn compress`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.markup import escape
from rich.table import Table

from frcnn_cli.commands.shared.tables import FoldedTable
from frcnn_cli.engine.compression.bounds import LAYERS
from frcnn_cli.engine.compression.choose import CompressedModel
from frcnn_cli.engine.compression.costs import Cost
from frcnn_cli.engine.compression.layers import CompressedLayer
from frcnn_cli.engine.compression.search import Search
from frcnn_cli.engine.compression.sweep import RankSweep
from frcnn_cli.engine.models.shipped.table import display_name
from frcnn_cli.engine.records import Dataset

STAGE_TITLES = {"conv": "convolutions", "roi_pooling": "RoI pooling", "rest": "other"}


def layer_table(layers: Sequence[CompressedLayer]) -> Table:
    """One row per replaced layer: shape, rank, energy kept, parameters before and after."""
    table = FoldedTable("layer", "shape")
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


def compression_table(compressed: CompressedModel) -> Table:
    """Costs, file size and mAP (if measured): before, after and their ratio."""
    before, after = compressed.before, compressed.after
    rows = [("file size, bytes", "{:,.0f}", float(before.bytes), float(after.bytes))]
    for title, value in (
        ("mAP (11-point), float32, %", after.map_in_float32),
        ("mAP (11-point), %", after.map_11point),
    ):
        if before.map_11point is not None and value is not None:
            rows.append((title, "{:.1f}", 100 * before.map_11point, 100 * value))
    return cost_table(before.cost, after.cost, rows)


def cost_table(old: Cost, new: Cost, others: Sequence[tuple[str, str, float, float]] = ()) -> Table:
    """Size, multiply-adds, time by stage and further rows: before, after and their ratio.

    Times that cannot be used have no ratio. others: title, format, value before and value after
    of each further row.
    """
    table = FoldedTable("model")
    for heading in ("before", "after", "after / before"):
        table.add_column(heading, justify="right")
    times = [("seconds per image", "{:.3f}", old.times.seconds, new.times.seconds)]
    times += [
        (f"  {STAGE_TITLES.get(stage, stage)}", "{:.3f}", seconds, new.times.stages[stage])
        for stage, seconds in old.times.stages.items()
    ]
    for row in (
        ("parameters", "{:,.0f}", old.parameters, new.parameters),
        ("multiply-adds per image", "{:,.0f}", old.multiply_adds, new.multiply_adds),
        *times,
        *others,
    ):
        title, form, before, after = row
        unusable = not before or (row in times and not new.has_usable_times)
        ratio = "-" if unusable else f"{after / before:.2f}"
        table.add_row(title, form.format(before), form.format(after), ratio)
    return table


def sweep_table(sweep: RankSweep) -> Table:
    """One row per rank: energy kept, parameters, seconds per image, mAP."""
    table = FoldedTable(title=escape(sweep.title))
    table.add_column("rank")
    names = list(dict.fromkeys((*LAYERS, *(n for point in sweep.points for n in point.energy))))
    energies = (f"energy, {names[0]}", *names[1:])
    for heading in (*energies, "parameters", "seconds per image", "mAP (11-point), %"):
        table.add_column(heading, justify="right")
    for point in sweep.points:
        shares = [point.energy.get(name) for name in names]
        table.add_row(
            "uncompressed" if point.rank is None else str(point.rank),
            *("-" if share is None else f"{share:.1%}" for share in shares),
            f"{point.parameters:,}",
            f"{point.seconds_an_image:.3f}" if point.has_usable_times else "unusable",
            f"{100 * point.map_11point:.1f}",
        )
    return table


def compression_to_json(compressed: CompressedModel) -> dict[str, Any]:
    """All results as JSON values."""
    compression, search, dataset = compressed.compression, compressed.search, compressed.dataset
    return {
        "model": display_name(compressed.source),
        "compressed": str(compressed.path),
        "bound": compressed.bound.to_json(),
        "half": compressed.half,
        "layers": {layer.name: layer.to_json() for layer in compression.layers},
        "left_alone": compression.unchanged,
        "dataset": None if dataset is None else _images_to_json(dataset, compressed.trained_on),
        "trials": None if search is None else _trials_to_json(search),
        "before": compressed.before.to_json(),
        "after": compressed.after.to_json(),
    }


def sweep_to_json(sweep: RankSweep) -> dict[str, Any]:
    """The measurements at each rank, and the dataset of the mAP, as JSON values."""
    return {
        "dataset": _images_to_json(sweep.dataset, sweep.trained_on),
        "half": sweep.half,
        "sweep": [asdict(point) for point in sweep.points],
    }


def _images_to_json(dataset: Dataset, trained_on: int | None) -> dict[str, Any]:
    return {
        "name": dataset.name,
        "split": dataset.split,
        "images": len(dataset),
        "trained_on": trained_on,
    }


def _trials_to_json(search: Search) -> list[dict[str, Any]]:
    """Each measured choice of ranks: the ranks, and the mAP points lost."""
    return [
        {
            "ranks": trial.rung.choice.ranks,
            "map_11point": trial.map_11point,
            "drop": 100 * (search.before - trial.map_11point),
        }
        for trial in search.trials
    ]
