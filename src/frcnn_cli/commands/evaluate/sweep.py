"""`frcnn eval --sweep`: mAP against the number of proposals, as table, JSON and picture."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from rich.markup import escape
from rich.table import Table

from frcnn_cli.commands.shared.console import Output, write_json
from frcnn_cli.engine.evaluation.proposal_sweep import sweep_plot, sweep_proposals
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.proposals.for_dataset import DatasetProposals
from frcnn_cli.engine.settings import DetectSettings
from frcnn_proposals.files import check_writable, write_whole


def run_sweep(
    output: Output,
    model: FastRCNN,
    found: DatasetProposals,
    settings: DetectSettings,
    counts: tuple[int, ...],
    plot: Path,
    json_path: Path | None,
) -> None:
    """Score with each number of proposals; print the table, write the picture and the JSON."""
    check_writable(plot)
    dataset = found.dataset
    with output.progress("Detecting", len(counts) * len(dataset)) as advance:
        points = sweep_proposals(
            model, dataset, found.proposals, settings, counts, lambda: advance(1, "")
        )
    table = Table(title=escape(f"{dataset.name}, {dataset.split}"))
    for heading in ("proposals, at most", "mAP 11-point", "mAP area"):
        table.add_column(heading, justify="right")
    for point in points:
        table.add_row(f"{point.proposals:,}", f"{point.map_11point:.3f}", f"{point.map_area:.3f}")
    output.print(table)
    write_whole(plot, sweep_plot(points, f"{dataset.name}, {dataset.split}"))
    output.print(f"Plot: [bold]{escape(str(plot))}[/]")
    if json_path is not None:
        write_json(json_path, {"sweep": [asdict(point) for point in points]})
        output.note(f"Results: {json_path}")
