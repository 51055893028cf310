"""`frcnn proposals recall`: how well a proposal file covers the objects of a dataset."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from frcnn_cli.commands.proposals import options as proposals_options
from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, pass_output, write_json
from frcnn_cli.commands.shared.paths import format_of
from frcnn_cli.engine.datasets.locate import locate
from frcnn_proposals.files import write_whole
from frcnn_proposals.formats.content import kind_of


@click.command()
@click.argument("file", type=options.AnyPath)
@click.option("--dataset", "name", required=True, help="Dataset with the objects to cover.")
@click.option(
    "--split", show_default="test if annotated, otherwise val", help="Split of the dataset."
)
@options.data_root
@options.count("--boxes", "max_boxes", help="Use only the first N proposals of each image.")
@proposals_options.hints
@options.allow_mismatch
@options.json_file
@click.option("--plot", type=options.Plot, help="Write the curves to this .png, .pdf or .svg file.")
@pass_output
def recall(
    output: Output,
    /,
    file: Path,
    name: str,
    data_root: Path | None,
    json_path: Path | None,
    plot: Path | None,
    **given: Any,
) -> None:
    """Measure how well the proposals in FILE cover the objects of a dataset.

    \b
    frcnn proposals recall voc2007.proposals --dataset voc2007 --boxes 2000 --plot recall.png
    """
    kind_of(file)  # reports a missing file before any slow import
    locate(name, data_root)
    from frcnn_cli.commands.proposals.recall_tables import recall_tables
    from frcnn_cli.engine.drawing.fonts import warn_of_missing_letters
    from frcnn_cli.engine.evaluation.proposal_recall import measure_recall
    from frcnn_cli.engine.evaluation.recall_figures import recall_plot

    recall = measure_recall(file, name, data_root=data_root, reporter=output, **given)
    for table in recall_tables(recall):
        output.print(table)
    write_json(json_path, recall.to_json())
    if plot is not None:
        warn_of_missing_letters(output, recall.report.all_objects.by_class)
        write_whole(plot, recall_plot(recall.report, recall.title, format_of(plot)))
        output.note(f"Curves: {plot}")
