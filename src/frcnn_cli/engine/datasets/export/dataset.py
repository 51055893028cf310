"""Writing ground truth or detections in the formats of other programs."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path, PurePosixPath

from frcnn_cli.engine.datasets.export.formats import (
    FORMATS,
    coco_dataset,
    coco_detections,
    csv_table,
    write_voc,
    write_yolo,
)
from frcnn_cli.engine.datasets.export.records import ExportImage, export_images
from frcnn_cli.engine.records import Dataset, Detections
from frcnn_proposals.errors import InputError, MisuseError
from frcnn_proposals.files import write_whole

_FolderWriter = Callable[[Path, Dataset, list[ExportImage], bool], None]


def export_dataset(
    dataset: Dataset,
    out: Path,
    format: str,
    detections: Mapping[str, Detections] | None = None,
    copy_pictures: bool = False,
) -> None:
    """Write a data set's ground truth, or with `detections` those instead, to `out`.

    format: 'coco' (a json: a data set, or results), 'csv' (a table), 'voc' or 'yolo' (a folder,
        with the pictures where `copy_pictures` is set). A detection's score goes with it.

    What is written appears under its name when it is whole; a file is replaced, a folder is not.
    Raises MisuseError for an unknown format, pictures where the format is one file, or a folder
    that is there already; InputError for an image id that would lead out of the folder.
    """
    if format not in FORMATS:
        raise MisuseError(f"Unknown format {format!r}; there are {', '.join(FORMATS)}.")
    if copy_pictures and format in ("coco", "csv"):
        raise MisuseError(f"Pictures go with a folder, which {format} is not: voc or yolo.")
    images = export_images(dataset, detections)
    if format == "coco":
        content = coco_dataset if detections is None else coco_detections
        write_whole(out, content(dataset, images))
    elif format == "csv":
        write_whole(out, csv_table(images))
    else:
        writer = write_voc if format == "voc" else write_yolo
        _write_folder(out, writer, dataset, images, copy_pictures)


def _write_folder(
    out: Path,
    writer: _FolderWriter,
    dataset: Dataset,
    images: list[ExportImage],
    copy_pictures: bool,
) -> None:
    if out.exists():
        raise MisuseError(f"{out} is there already: remove it or name another folder.")
    for image in images:
        path = PurePosixPath(image.record.image_id)
        if path.is_absolute() or ".." in path.parts:
            raise InputError(f"{dataset.name}: image id {image.record.image_id!r} is no file name")
    partial = out.with_name(f"{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        writer(partial, dataset, images, copy_pictures)
        os.replace(partial, out)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
