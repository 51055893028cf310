"""`frcnn proposals inspect`: what a proposal file is and holds."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import click
from rich.markup import escape
from rich.table import Table

from frcnn_cli.commands.proposals import options as proposals_options
from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, pass_output, write_json
from frcnn_cli.engine.proposals.inputs import image_files, sizes_of
from frcnn_proposals.formats.inspect import Inspection, inspect_proposals
from frcnn_proposals.formats.interpret import Hints

_FAILURES_SHOWN = 20


@click.command()
@click.argument("file", type=options.AnyPath)
@proposals_options.hints
@click.option("--images", type=options.FolderPath, help="Check the boxes against these images.")
@options.json_file
@pass_output
def inspect(
    output: Output,
    file: Path,
    hints: Hints,
    images: Path | None,
    json_path: Path | None,
) -> None:
    """Say what FILE is and holds: its format and how sure that is, ids, counts and ranges.

    \b
    frcnn proposals inspect voc_2007_trainval.mat
    """
    size_of = None if images is None else sizes_of(image_files(images))
    inspection = inspect_proposals(file, hints, size_of)
    table = Table(show_header=False)
    for name, text in _lines(inspection):
        table.add_row(name, escape(text))
    output.print(table)
    write_json(json_path, _as_json(inspection))


def _lines(found: Inspection) -> Iterator[tuple[str, str]]:
    survey = found.survey
    yield "file", str(found.path)
    yield "format", found.format
    yield "how sure", found.certainty
    for verdict in found.verdicts:
        fits = "fits" if verdict.fault is None else f"no: {verdict.fault}"
        yield "", f"{verdict.format} ({verdict.layout}): {fits}"
    yield "images", str(found.images)
    yield "ids", found.ids
    mean = survey.boxes / survey.tables if survey.tables else 0
    yield (
        "boxes",
        f"{survey.boxes}: {survey.fewest} to {survey.most} an image, {mean:.1f} on average",
    )
    if survey.lowest:
        ends = zip(survey.lowest, survey.highest, strict=True)
        columns = ", ".join(f"{low:g} to {high:g}" for low, high in ends)
        yield "columns", f"{columns} (as they are in the file)"
    if survey.scores is None:
        yield "scores", "none"
    else:
        yield "scores", f"{survey.scores[0]:g} to {survey.scores[1]:g}"
    if found.provenance is not None:
        yield "made by", found.provenance.describe()
    for remark in found.remarks:
        yield "note", remark
    if found.failures:
        yield "without boxes", f"{len(found.failures)} images"
    for image_id, reason in found.failures[:_FAILURES_SHOWN]:
        yield "", f"{image_id}: {reason}"


def _as_json(found: Inspection) -> dict[str, Any]:
    fields = asdict(found)
    fields["path"] = str(found.path)
    fields["failures"] = [{"id": name, "reason": reason} for name, reason in found.failures]
    return fields
