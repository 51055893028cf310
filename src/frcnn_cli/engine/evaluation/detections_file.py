"""Read detections: COCO results JSON, as the toolkit writes it, folders of parts, or text files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from frcnn_cli.engine.datasets.findings import act_on
from frcnn_cli.engine.evaluation.detection_checks import detection_findings
from frcnn_cli.engine.evaluation.readers.coco_results import read_coco_results
from frcnn_cli.engine.evaluation.readers.rows import (
    DetectionRows,
    image_indices,
    match_images,
    shortened,
)
from frcnn_cli.engine.evaluation.readers.text_results import read_text_results
from frcnn_cli.engine.records import Dataset, Detections
from frcnn_cli.engine.reporter import SILENT, Reporter
from frcnn_proposals.errors import InputError, MisuseError
from frcnn_proposals.formats.parts.about import ABOUT_FILE, About, part_files, parts_of
from frcnn_proposals.formats.parts.files import PART_FORMATS, concatenated, read_part, repeated
from frcnn_proposals.formats.parts.row import Row
from frcnn_proposals.wording import counted


def read_detections(
    path: Path, dataset: Dataset, reporter: Reporter = SILENT
) -> dict[str, Detections]:
    """Read the detections of a file for `dataset`, by image id, highest score first.

    path: a .json file of COCO results, a folder of parts (see parts.folder), a folder of text files
        (one per class, as the VOC devkit has them, or one per image), or one such file. Image ids
        that are not in the dataset are kept unchanged.
    reporter: receives warnings about boxes and scores that can hardly be right.

    Scores keep the precision of the file, since they decide the order of detections.
    Raises MisuseError if `path` does not exist, InputError if an entry is invalid (the message
    names it) or if no image of the file is in the dataset.
    """
    check_detections(path)
    if path.suffix.lower() == ".json":
        rows = read_coco_results(path, dataset, reporter)
    elif (path / ABOUT_FILE).is_file() or part_files(path):
        rows = _read_parts(path, dataset, reporter)
    else:
        rows = read_text_results(path, dataset, reporter)
    _check(path, rows, dataset)
    act_on(detection_findings(path, rows, dataset), True, reporter)
    return _by_image(rows)


def check_detections(path: Path) -> None:
    """Raises MisuseError if `path` does not exist or has an unsupported file type."""
    if not path.exists():
        raise MisuseError(f"{path}: this file of detections does not exist.")
    if path.suffix.lower().removeprefix(".") in PART_FORMATS and path.is_file():
        raise MisuseError(
            f"{path}: one part cannot be evaluated alone. Give the folder of all parts, "
            f"{path.parent}."
        )
    if path.suffix.lower() not in (".json", ".txt") and not path.is_dir():
        raise MisuseError(
            f"{path}: file type not supported. Expected COCO results (.json), a folder of parts "
            "(`frcnn detect --parts`), or text files (.txt, or a folder of them): one per class, "
            "as of the VOC devkit, or one per image."
        )


def _read_parts(path: Path, dataset: Dataset, reporter: Reporter) -> DetectionRows:
    """The rows of all parts in a folder, as of one file.

    Raises InputError for parts of proposals, of another model or with an image of another part,
    and for a class that is not in the dataset.
    """
    about = About.read(path)
    label_of_name = {name: label for label, name in enumerate(dataset.classes, start=1)}
    if about.content != "detections" or not set(about.classes) <= label_of_name.keys():
        unknown = [name for name in about.classes if name not in label_of_name]
        problem = f"unknown class {unknown[0]!r}" if unknown else f"contains {about.content}"
        raise InputError(f"{path}: {problem}; expected detections of {', '.join(dataset.classes)}")
    labels_of = np.array([0, *(label_of_name[name] for name in about.classes)], np.int64)
    file_of: dict[str, str] = {}
    found: list[Row] = []
    for file in parts_of(path, about):
        for row in read_part(file):
            if row.image_id in file_of:
                raise repeated(path, row.image_id, file_of[row.image_id], file.name)
            file_of[row.image_id] = file.name
            if row.labels is not None:
                found.append(row)
    _warn_of_missing(path, dataset, found, reporter)
    id_of = match_images(path, [row.image_id for row in found], dataset, reporter)
    counts = [len(row) for row in found]
    names = np.repeat(np.arange(len(found)), counts)
    labels = concatenated([row.labels for row in found], np.int64)
    if len(labels) and not (labels.min() >= 1 and labels.max() < len(labels_of)):
        raise InputError(f"{path}: a label is not one of 1..{len(labels_of) - 1}")
    image_ids, images = image_indices([row.image_id for row in found], id_of)
    return DetectionRows(
        image_ids,
        images[names] if len(names) else names,
        labels_of[labels],
        concatenated([row.scores for row in found], np.float64),
        concatenated([row.boxes for row in found], np.float64).reshape(-1, 4),
        lambda place: f"image {shortened(found[names[place]].image_id)}",
    )


def _warn_of_missing(path: Path, dataset: Dataset, rows: Sequence[Row], reporter: Reporter) -> None:
    """Report images of the dataset without a result: their objects count as missed."""
    missing = {image.image_id for image in dataset.images}.difference(row.image_id for row in rows)
    if missing and len(missing) < len(dataset):
        images_have = counted(len(missing), "image has", "images have")
        reporter.warn(
            f"{path}: {images_have} no result in any part, such as {min(missing)!r}. Their objects "
            "count as missed."
        )


def _check(path: Path, rows: DetectionRows, dataset: Dataset) -> None:
    finite = np.isfinite(rows.boxes).all(axis=1) & np.isfinite(rows.scores)
    if not finite.all():
        raise InputError(f"{path}: {rows.where(int(np.argmin(finite)))}: a number is not finite")
    inverted = (rows.boxes[:, 2:] + 1 < rows.boxes[:, :2]).any(axis=1)
    if inverted.any():
        first = rows.where(int(np.argmax(inverted)))
        raise InputError(f"{path}: {first}: its box is inverted (x2 < x1 or y2 < y1)")
    known = {image.image_id for image in dataset.images}
    if rows.image_ids and known.isdisjoint(rows.image_ids):
        raise InputError(
            f"{path}: none of its images is in {dataset.name} {dataset.split}: the file has "
            f"{shortened(rows.image_ids[0])}, the dataset has {dataset.images[0].image_id!r}.\n"
            "Use the dataset's ids, or select the split of the file with --split."
        )


def _by_image(rows: DetectionRows) -> dict[str, Detections]:
    """Group rows by image in order of appearance; sort by score, equal scores in file order."""
    order = np.lexsort((-rows.scores, rows.image))
    starts = np.searchsorted(rows.image[order], np.arange(len(rows.image_ids) + 1))
    boxes = rows.boxes.astype(np.float32)[order]
    scores = rows.scores[order]
    labels = rows.labels[order]
    return {
        name: Detections(boxes[first:last], scores[first:last], labels[first:last])
        for name, first, last in zip(rows.image_ids, starts[:-1], starts[1:], strict=True)
    }
