"""`frcnn proposals recall`: how well a proposal file covers a data set's objects."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click

from frcnn_cli.commands.proposals import options as proposals_options
from frcnn_cli.commands.proposals.recall_tables import recall_tables
from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, pass_output, write_json
from frcnn_cli.engine.datasets.find import default_splits, find_dataset
from frcnn_cli.engine.evaluation.recall import RecallReport, RecallResult, evaluate_recall
from frcnn_cli.engine.evaluation.recall_plot import recall_plot
from frcnn_cli.engine.proposals.images import all_ids
from frcnn_proposals.files import write_whole
from frcnn_proposals.formats.interpret import Hints
from frcnn_proposals.formats.layout import Order
from frcnn_proposals.formats.read import open_proposals
from frcnn_proposals.matching import match_ids

_WAY_OUT = "Give the file made for this data set, or judge what matches with --allow-mismatch"


@click.command()
@click.argument("file", type=options.AnyPath)
@click.option("--dataset", "name", required=True, help="Data set whose objects are to be covered.")
@click.option("--split", help="Default: test where it has annotations, else val.")
@options.data_root
@click.option("--boxes", type=click.IntRange(min=1), help="Only the first so many of each image.")
@proposals_options.hints
@proposals_options.allow_mismatch
@options.json_file
@click.option("--plot", type=options.FilePath, help="Write the curves there, as a PNG.")
@pass_output
def recall(
    output: Output,
    file: Path,
    name: str,
    split: str | None,
    data_root: Path | None,
    boxes: int | None,
    format: str | None,
    order: Order | None,
    base: int | None,
    allow_mismatch: bool,
    json_path: Path | None,
    plot: Path | None,
) -> None:
    """Judge FILE by how well its boxes cover the objects of a data set.

    \b
    frcnn proposals recall voc2007.proposals --dataset voc2007 --boxes 2000 --plot recall.png
    """
    split = split or default_splits(name, data_root).evaluation
    dataset = find_dataset(name, split, data_root)
    ids = [record.image_id for record in dataset.images]
    sizes = {
        record.image_id: (record.width, record.height)
        for record in dataset.images
        if record.width is not None and record.height is not None
    }
    found = open_proposals(file, Hints(format, order, base), ids, sizes.get).proposals
    match = match_ids(found, ids, lambda: all_ids(name, data_root))
    if not allow_mismatch:
        match.refuse_mismatch(str(file), _WAY_OUT)
    elif not match.is_exact:
        output.warn(match.describe())
        kept = tuple(record for record in dataset.images if record.image_id in found)
        dataset = replace(dataset, images=kept)
    with output.progress("Measuring", len(dataset)) as advance:
        report = evaluate_recall(dataset, found, boxes, lambda: advance(1, ""))
    title = f"{file.name} on {name} {split}"
    for table in recall_tables(report, title):
        output.print(table)
    if json_path is not None:
        write_json(json_path, _as_json(report, file, name, split, boxes))
    if plot is not None:
        write_whole(plot, recall_plot(report, title))
        output.note(f"Curves: {plot}")


def _as_json(
    report: RecallReport, file: Path, name: str, split: str, boxes: int | None
) -> dict[str, Any]:
    return {
        "file": str(file),
        "dataset": name,
        "split": split,
        "max_boxes": boxes,
        "images": report.images,
        "boxes_per_image": report.boxes,
        "all": _group_as_json(report.all_objects),
        "not_difficult": _group_as_json(report.not_difficult),
    }


def _group_as_json(result: RecallResult) -> dict[str, Any]:
    return {
        "mabo": result.mabo,
        **asdict(result.overall),
        "recall_against_iou": [{"iou": iou, "recall": value} for iou, value in result.recall],
        "against_boxes": [
            {"boxes": count, "mabo": mabo, **asdict(coverage)}
            for count, mabo, coverage in result.by_count
        ],
        "by_class": {name: asdict(coverage) for name, coverage in result.by_class.items()},
    }
