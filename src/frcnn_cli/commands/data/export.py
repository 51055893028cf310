"""`frcnn data export`: write ground truth or detections in formats of other programs."""

from __future__ import annotations

from pathlib import Path

import click

from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, pass_output
from frcnn_cli.engine.datasets.export.dataset import export_dataset
from frcnn_cli.engine.datasets.export.formats import FORMATS
from frcnn_cli.engine.datasets.export.pseudo_labels import PseudoLabelOptions, export_pseudo_labels
from frcnn_cli.engine.datasets.find import default_splits
from frcnn_cli.engine.datasets.open import open_dataset
from frcnn_proposals.errors import MisuseError
from frcnn_proposals.wording import counted


@click.command()
@click.argument("dataset")
@click.argument("out", type=options.OutputPath)
@click.option(
    "--format", "format", type=click.Choice(FORMATS), required=True, help="Format of OUT."
)
@click.option(
    "--split",
    show_default="test if annotated, otherwise val; with --as-dataset, the one to train on",
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
    "--score-threshold",
    type=float,
    show_default="0; none with --as-dataset",
    help="Minimum score of a detection.",
)
@click.option(
    "--as-dataset",
    is_flag=True,
    help="Write the detections as the objects of a dataset to train on, a folder with the images "
    "(coco and voc only). Detections of classes that are not in the labels of their image are "
    "skipped. Requires --best-per-class, --score-threshold, or both.",
)
@click.option(
    "--best-per-class",
    is_flag=True,
    help="With --as-dataset: only the best detection of each class in the labels of an image.",
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
    score_threshold: float | None,
    as_dataset: bool,
    best_per_class: bool,
    copy_images: bool,
    data_root: Path | None,
    allow_mismatch: bool,
) -> None:
    """Write the ground truth of DATASET to OUT: a file for coco and csv, a folder for voc and yolo.

    \b
    frcnn data export voc2007 voc2007_test.json --format coco
    frcnn data export voc2007 found/ --format yolo --detections detections.json
    frcnn data export voc2007 out --format voc --detections train.json --as-dataset --best-per-class
    """
    options = None
    if as_dataset:
        options = PseudoLabelOptions(best_per_class, score_threshold)
    if as_dataset and detections_path is None:
        raise MisuseError("--as-dataset requires --detections, the file of these detections.")
    if best_per_class and not as_dataset:
        raise MisuseError("--best-per-class requires --as-dataset.")
    splits = None if split else default_splits(dataset, data_root, labels_suffice=as_dataset)
    if splits is not None:
        split = splits.training if as_dataset else splits.evaluation
    assert split is not None
    data = open_dataset(
        dataset,
        split,
        data_root,
        allow_mismatch=allow_mismatch,
        needs_images=copy_images or as_dataset,
        reporter=output,
    )
    detections = None
    if detections_path is not None:
        from frcnn_cli.engine.evaluation.detections_file import read_detections

        read = read_detections(detections_path, data, output)
        if options is not None:
            written = export_pseudo_labels(
                data, out, format, read, detections_path, options, output
            )
            images = counted(len(written), "image")
            objects = counted(sum(len(image.truth or ()) for image in written.images), "object")
            output.note(f"Wrote {images} with {objects} ({dataset}, split {split}) to {out}")
            return
        detections = {name: item.above(score_threshold or 0.0) for name, item in read.items()}
    export_dataset(data, out, format, detections, copy_images)
    content = "ground truth" if detections is None else "detections"
    output.note(
        f"Wrote the {content} of {counted(len(data), 'image')} ({dataset}, split {split}) to {out}"
    )
