"""Read files of detections: COCO results JSON, as the toolkit writes it, or text files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from frcnn_cli.engine.datasets.findings import act_on
from frcnn_cli.engine.detection.rows import DetectionRows, shortened
from frcnn_cli.engine.evaluation.detection_checks import detection_findings
from frcnn_cli.engine.evaluation.readers.coco_results import read_coco_results
from frcnn_cli.engine.evaluation.readers.text_results import read_text_results
from frcnn_cli.engine.records import Dataset, Detections
from frcnn_cli.engine.reporter import SILENT, Reporter
from frcnn_proposals.errors import InputError, MisuseError


def read_detections(
    path: Path, dataset: Dataset, reporter: Reporter = SILENT
) -> dict[str, Detections]:
    """Read the detections of a file for `dataset`, by image id, highest score first.

    path: a .json file of COCO results, a folder of text files (one per class, as the VOC devkit
        has them, or one per image), or one such file. Image ids that are not in the dataset are
        kept unchanged.
    reporter: receives warnings about boxes and scores that can hardly be right.

    Scores keep the precision of the file, since they decide the order of detections.
    Raises MisuseError if `path` does not exist, InputError if an entry is invalid (the message
    names it) or if no image of the file is in the dataset.
    """
    check_detections(path)
    if path.suffix.lower() == ".json":
        rows = read_coco_results(path, dataset, reporter)
    else:
        rows = read_text_results(path, dataset, reporter)
    _check(path, rows, dataset)
    act_on(detection_findings(path, rows, dataset), True, reporter)
    return _by_image(rows)


def check_detections(path: Path) -> None:
    """Raises MisuseError if `path` does not exist or has an unsupported file type."""
    if not path.exists():
        raise MisuseError(f"{path}: this file of detections does not exist.")
    if path.suffix.lower() not in (".json", ".txt") and not path.is_dir():
        raise MisuseError(
            f"{path}: file type not supported. Expected COCO results (.json) or text files (.txt, "
            "or a folder of them): one per class, as of the VOC devkit, or one per image."
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
