"""Anybody's detections: COCO results json (the toolkit's own is one) or VOC devkit text files."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from frcnn_cli.engine.evaluation.coco_results import read_coco_results
from frcnn_cli.engine.evaluation.detection_rows import DetectionRows
from frcnn_cli.engine.evaluation.voc_results import read_voc_results
from frcnn_cli.engine.records import Dataset, Detections
from frcnn_proposals.errors import InputError, MisuseError


def read_detections(path: Path, dataset: Dataset) -> dict[str, Detections]:
    """Detections by image id, highest score first, of a file made for `dataset`.

    path: a .json file in COCO results style, a folder of VOC devkit text files (one a class),
        or one such file. Ids that the data set does not have stay in, under their own names.

    Raises MisuseError where there is nothing at `path`, InputError where an entry cannot be
    used (it is named) or where no image of the file is in the data set.
    """
    if not path.exists():
        raise MisuseError(f"There is no detections file {path}.")
    if path.suffix.lower() == ".json":
        rows = read_coco_results(path, dataset)
    elif path.is_dir() or path.suffix.lower() == ".txt":
        rows = read_voc_results(path, dataset)
    else:
        raise MisuseError(
            f"{path}: detections are read from COCO results (.json) or VOC devkit text files "
            "(.txt, or a folder of them)."
        )
    _check(path, rows, dataset)
    return _by_image(rows)


def _check(path: Path, rows: DetectionRows, dataset: Dataset) -> None:
    finite = np.isfinite(rows.boxes).all(axis=1) & np.isfinite(rows.scores)
    if not finite.all():
        raise InputError(f"{path}: {rows.where(int(np.argmin(finite)))}: a number is not finite")
    inverted = (rows.boxes[:, 2:] + 1 < rows.boxes[:, :2]).any(axis=1)
    if inverted.any():
        first = rows.where(int(np.argmax(inverted)))
        raise InputError(f"{path}: {first}: its box is turned inside out")
    known = {image.image_id for image in dataset.images}
    if rows.image_ids and known.isdisjoint(rows.image_ids):
        raise InputError(
            f"{path}: none of its images is in {dataset.name} {dataset.split}: it has "
            f"{rows.image_ids[0]!r}, the data set {dataset.images[0].image_id!r}.\n"
            "Name the split that it was made for with --split."
        )


def _by_image(rows: DetectionRows) -> dict[str, Detections]:
    """Grouped by image in order of appearance, sorted by score; equal scores keep their order."""
    order = np.lexsort((-rows.scores, rows.image))
    starts = np.searchsorted(rows.image[order], np.arange(len(rows.image_ids) + 1))
    boxes = rows.boxes[order].astype(np.float32)
    scores = rows.scores[order].astype(np.float32)
    labels = rows.labels[order]
    return {
        name: Detections(boxes[first:last], scores[first:last], labels[first:last])
        for name, first, last in zip(rows.image_ids, starts[:-1], starts[1:], strict=True)
    }
