"""`frcnn data export`: write ground truth or detections in formats of other programs."""

from __future__ import annotations

from pathlib import Path

import click

from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, pass_output
from frcnn_cli.engine.datasets.export.dataset import export_dataset
from frcnn_cli.engine.datasets.export.formats import FORMATS
from frcnn_cli.engine.datasets.find import default_splits
from frcnn_cli.engine.datasets.open import open_dataset
from frcnn_proposals.wording import counted


@click.command()
@click.argument("dataset")
@click.argument("out", type=options.OutputPath)
@click.option(
    "--format", "format", type=click.Choice(FORMATS), required=True, help="Format of OUT."
)
@click.option(
    "--split",
    show_default="test if annotated, otherwise val",
    help="Split of the dataset.",
)
@click.option(
    "--detections",
    "detections_path",
    type=options.AnyPath,
    help="Write these detections instead of the ground truth: COCO results, or text files, one "
    "per class (VOC devkit) or per image.",
)
@click.option(
    "--score-threshold", default=0.0, show_default=True, help="Minimum score of a detection."
)
@click.option("--copy-images", is_flag=True, help="Also copy the images (voc and yolo only).")
@options.data_root
@options.allow_mismatch
@pass_output
def export(
    output: Output,
    dataset: str,
    out: Path,
    format: str,
    split: str | None,
    detections_path: Path | None,
    score_threshold: float,
    copy_images: bool,
    data_root: Path | None,
    allow_mismatch: bool,
) -> None:
    """Write the ground truth of DATASET to OUT: a file for coco and csv, a folder for voc and yolo.

    \b
    frcnn data export voc2007 voc2007_test.json --format coco
    frcnn data export voc2007 found/ --format yolo --detections detections.json
    """
    split = split or default_splits(dataset, data_root).evaluation
    data = open_dataset(
        dataset,
        split,
        data_root,
        allow_mismatch=allow_mismatch,
        needs_images=copy_images,
        reporter=output,
    )
    detections = None
    if detections_path is not None:
        from frcnn_cli.engine.evaluation.detections_file import read_detections

        read = read_detections(detections_path, data, output)
        detections = {name: item.above(score_threshold) for name, item in read.items()}
    export_dataset(data, out, format, detections, copy_images)
    content = "ground truth" if detections is None else "detections"
    output.note(
        f"Wrote the {content} of {counted(len(data), 'image')} ({dataset}, split {split}) to {out}"
    )
