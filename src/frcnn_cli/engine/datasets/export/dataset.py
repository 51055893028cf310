"""Write ground truth or detections in formats of other programs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from frcnn_cli.engine.datasets.export.formats import (
    FORMATS,
    coco_dataset,
    coco_detections,
    csv_rows,
    write_coco,
    write_voc,
    write_yolo,
)
from frcnn_cli.engine.datasets.export.records import ExportImage, export_images
from frcnn_cli.engine.datasets.layout import ALL, leads_inside
from frcnn_cli.engine.datasets.readers.voc import SPLITS
from frcnn_cli.engine.records import Dataset, Detections
from frcnn_proposals.errors import InputError, MisuseError
from frcnn_proposals.files import whole_folder, write_chunks, write_json_list, write_whole

_FolderWriter = Callable[[Path, Dataset, list[ExportImage], bool], None]


def export_dataset(
    dataset: Dataset,
    out: Path,
    format: str,
    detections: Mapping[str, Detections] | None = None,
    copy_images: bool = False,
) -> None:
    """Write the ground truth of a dataset, or the given `detections` instead, to `out`.

    format: 'coco' (a json file: a dataset or results), 'csv' (a table), 'voc' or 'yolo' (a
        folder). Scores of detections are written too.
    copy_images: also write the images; for 'voc' and 'yolo' only.

    `out` appears once it is complete; an existing file is replaced, an existing folder is not.
    Raises MisuseError for an unknown format, for `copy_images` with a format of one file, and for
    an existing folder; InputError for an image id that leads out of the folder.
    """
    if format not in FORMATS:
        raise MisuseError(f"Unknown format {format!r}; expected {', '.join(FORMATS)}.")
    if copy_images and format in ("coco", "csv"):
        raise MisuseError(
            f"Images cannot be copied with format {format}, a single file; use voc or yolo."
        )
    images = export_images(dataset, detections)
    if format == "coco" and detections is not None:
        write_json_list(out, coco_detections(dataset, images))
    elif format == "coco":
        write_whole(out, coco_dataset(dataset, list(images)))
    elif format == "csv":
        write_chunks(out, csv_rows(images))
    else:
        writer = write_voc if format == "voc" else write_yolo
        _write_folder(out, writer, dataset, list(images), copy_images)


def export_as_dataset(dataset: Dataset, out: Path, format: str, description: str) -> None:
    """Write a dataset with its images to the new folder `out`, to train on.

    format: 'coco' or 'voc'. description: what its objects are, for the field of the format. The
    split keeps its name if it is one of the format's. Raises as export_dataset.
    """
    writers = {"coco": write_coco, "voc": write_voc}
    if format not in writers:
        raise MisuseError(f"A dataset to train on is written as {' or '.join(writers)}.")
    if dataset.split not in SPLITS:
        dataset = replace(dataset, split=ALL)
    writer = partial(writers[format], description=description)
    _write_folder(out, writer, dataset, list(export_images(dataset, None)), True)


def _write_folder(
    out: Path,
    writer: _FolderWriter,
    dataset: Dataset,
    images: list[ExportImage],
    copy_images: bool,
) -> None:
    paths: dict[str, Path] = {}
    for image in images:
        name, path = image.record.image_id, image.record.path
        if paths.setdefault(name, path) != path:
            raise InputError(f"{dataset.name}: {paths[name]} and {path} have the same id {name!r}")
        if not (leads_inside(name) and _is_one_line(name)):
            raise InputError(f"{dataset.name}: image id {name!r} is not a valid file name")
    for name in dataset.classes:
        if not _is_one_line(name):
            raise InputError(
                f"{dataset.name}: class {name!r} cannot be written in this format.\n"
                "Remove spaces at its ends and characters that cannot be printed."
            )
    with whole_folder(out) as folder:
        writer(folder, dataset, images, copy_images)


def _is_one_line(text: str) -> bool:
    """Whether lists and labels can contain the text: readers strip lines, and reject others."""
    return text.isprintable() and text == text.strip() != ""
