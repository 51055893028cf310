"""`frcnn proposals inspect`: the format and contents of a proposal file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.markup import escape

from frcnn_cli.commands.proposals import options as proposals_options
from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, pass_output, write_json
from frcnn_cli.commands.shared.tables import FoldedTable
from frcnn_cli.engine.datasets.inputs import image_files, sizes_of
from frcnn_proposals.formats.inspect import Inspection, Survey, inspect_proposals
from frcnn_proposals.formats.interpret import Hints
from frcnn_proposals.wording import counted

_FAILURES_SHOWN = 20


@click.command()
@click.argument("file", type=options.AnyPath)
@proposals_options.hints
@click.option(
    "--images",
    type=options.FolderPath,
    help="Check that ids and boxes fit the images of this folder.",
)
@options.json_file
@pass_output
def inspect(
    output: Output,
    file: Path,
    hints: Hints,
    images: Path | None,
    json_path: Path | None,
) -> None:
    """Show the format of FILE, how certain it is, and the ids, box counts and value ranges.

    \b
    frcnn proposals inspect voc_2007_trainval.mat
    """
    files = None if images is None else image_files(images)
    sizes = None if files is None else sizes_of(files)
    inspection = inspect_proposals(file, hints, None if files is None else files.keys(), sizes)
    table = FoldedTable(show_header=False)
    for name, text in _lines(inspection):
        table.add_row(name, escape(text))
    output.print(table)
    write_json(json_path, _as_json(inspection))


def _lines(inspection: Inspection) -> Iterator[tuple[str, str]]:
    survey = inspection.survey
    yield "file", str(inspection.path)
    yield "format", inspection.format
    yield "certainty", inspection.certainty
    for verdict in inspection.verdicts:
        fits = "matches" if verdict.fault is None else f"no match: {verdict.fault}"
        yield "", f"{verdict.format} ({verdict.layout}): {fits}"
    yield "images", str(inspection.images)
    yield "ids", inspection.ids
    yield "boxes", _box_counts(survey)
    if survey.lowest:
        ends = zip(survey.lowest, survey.highest, strict=True)
        columns = ", ".join(f"{low:g} to {high:g}" for low, high in ends)
        yield "columns", f"{columns} (as stored in the file)"
    if survey.scores is None:
        yield "scores", "none"
    else:
        yield "scores", f"{survey.scores[0]:g} to {survey.scores[1]:g}"
    yield "order of boxes", survey.order
    if inspection.provenance is not None:
        yield "source", inspection.provenance.describe()
    for remark in inspection.remarks:
        yield "note", remark
    if inspection.failures:
        yield "no proposals", counted(len(inspection.failures), "image")
    for image_id, reason in inspection.failures[:_FAILURES_SHOWN]:
        yield "", f"{image_id}: {reason}"


def _box_counts(survey: Survey) -> str:
    """The number of boxes, and their range per image: without digits that mean nothing."""
    if survey.fewest == survey.most:
        return f"{survey.boxes:,}: {survey.most:,} per image"
    mean = survey.boxes / survey.tables
    digits = 0 if mean >= 100 else 1
    return (
        f"{survey.boxes:,}: {survey.fewest:,} to {survey.most:,} per image, "
        f"{mean:,.{digits}f} on average"
    )


def _as_json(inspection: Inspection) -> dict[str, Any]:
    fields = asdict(inspection)
    fields["path"] = str(inspection.path)
    fields["failures"] = [{"id": name, "reason": reason} for name, reason in inspection.failures]
    return fields
