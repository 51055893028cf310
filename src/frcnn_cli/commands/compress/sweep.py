"""`frcnn compress --sweep`: mAP and time against rank, as table, JSON and picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from frcnn_cli.commands.compress.ranks import decompose
from frcnn_cli.commands.compress.tables import images_to_json
from frcnn_cli.commands.shared.console import Output, write_json
from frcnn_cli.engine.compression.accuracy import judge
from frcnn_cli.engine.compression.costs import measure_costs
from frcnn_cli.engine.compression.layers import Compression, replace_layers
from frcnn_cli.engine.compression.ranks import Choice, by_rank
from frcnn_cli.engine.compression.sweep import SweepPoint, sweep_plot
from frcnn_cli.engine.models.loaded import LoadedModel
from frcnn_cli.engine.models.store import as_stored
from frcnn_cli.engine.proposals.for_dataset import DatasetProposals, warn_of_some
from frcnn_proposals.files import write_whole

_REPEATS = 5


def run_sweep(
    output: Output,
    loaded: LoadedModel,
    ranks: Sequence[int],
    found: DatasetProposals,
    half: bool,
    plot: Path,
    json_path: Path | None,
) -> None:
    """Judge and time each rank; print the table, write the picture and the JSON."""
    model = loaded.model
    layers = decompose(output, model)
    whole = replace_layers(model, layers, Choice({}))
    compressions: dict[int | None, Compression] = {None: whole}
    for rank in ranks:
        compressions[rank] = replace_layers(model, layers, by_rank(layers, rank))
    points = _points(output, loaded, compressions, found, half)
    for asked, compression in compressions.items():
        for name, reason in compression.left_alone.items():
            output.warn(f"At rank {asked}, {name} is left alone: {reason}.")
    output.print(_table(points, found))
    name = f"{found.dataset.name}, {found.dataset.split}"
    write_whole(plot, sweep_plot(points, f"mAP and time against rank: {name}"))
    output.print(f"Plot: [bold]{escape(str(plot))}[/]")
    if json_path is not None:
        sweep = [asdict(point) for point in points]
        values = {"dataset": images_to_json(found.dataset), "half": half, "sweep": sweep}
        write_json(json_path, values)
        output.note(f"Results: {json_path}")


def _points(
    output: Output,
    loaded: LoadedModel,
    compressions: dict[int | None, Compression],
    found: DatasetProposals,
    half: bool,
) -> list[SweepPoint]:
    precision, settings = loaded.precision, loaded.experiment.detect
    models = [
        as_stored(each.model, half and rank is not None) for rank, each in compressions.items()
    ]
    with output.progress("Timing in turn", len(models) * (_REPEATS + 1)) as advance:
        costs = measure_costs(models, precision, _REPEATS, lambda: advance(1, ""))
    with output.progress("Detecting at every rank", len(found.dataset)) as advance:
        judged = judge(
            models, found.dataset, found.proposals, settings, precision, lambda: advance(1, "")
        )
    warn_of_some(output, judged.unreadable)
    return [
        SweepPoint(
            rank,
            {layer.name: layer.rank for layer in compression.layers},
            {layer.name: layer.energy for layer in compression.layers},
            cost.parameters,
            cost.multiply_adds,
            cost.times.seconds,
            mean_precision,
        )
        for (rank, compression), cost, mean_precision in zip(
            compressions.items(), costs, judged.map_11point, strict=True
        )
    ]


def _table(points: Sequence[SweepPoint], found: DatasetProposals) -> Table:
    table = Table(title=escape(f"{found.dataset.name}, {found.dataset.split}"))
    table.add_column("rank")
    for heading in ("energy, fc6", "fc7", "parameters", "seconds an image", "mAP 11-point"):
        table.add_column(heading, justify="right")
    for point in points:
        kept = [point.energy.get(name) for name in ("fc6", "fc7")]
        table.add_row(
            "as it was" if point.rank is None else str(point.rank),
            *("-" if share is None else f"{share:.1%}" for share in kept),
            f"{point.parameters:,}",
            f"{point.seconds_an_image:.3f}",
            f"{point.map_11point:.3f}",
        )
    return table
