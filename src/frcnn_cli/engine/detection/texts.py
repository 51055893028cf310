"""Detections as CSV, and as YOLO texts."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from frcnn_cli.engine.records import Detections
from frcnn_proposals.errors import MisuseError
from frcnn_proposals.files import write_chunks, write_whole
from frcnn_proposals.reading import read_text

CSV_HEADER = b"image,class,score,x1,y1,x2,y2\n"
_YOLO_CLASSES = "classes.txt"
_YOLO_COLUMNS = 6


def csv_rows(image_id: str | int, detections: Detections, classes: Sequence[str]) -> bytes:
    """Rows under CSV_HEADER: inclusive corners in pixels from 0, as everywhere in the toolkit."""
    text = io.StringIO()
    columns = (detections.labels, detections.scores, detections.boxes)
    csv.writer(text, lineterminator="\n").writerows(
        (image_id, classes[label - 1], score, *box)
        for label, score, box in zip(*(column.tolist() for column in columns), strict=True)
    )
    return text.getvalue().encode()


def write_csv(path: Path, detections: Mapping[str, Detections], classes: Sequence[str]) -> None:
    """Write the detections of all images, by image id; the file appears when it is whole."""
    rows = (csv_rows(image_id, found, classes) for image_id, found in detections.items())
    write_chunks(path, itertools.chain([CSV_HEADER], rows))


def yolo_text(detections: Detections, width: int, height: int) -> str:
    """One line per detection: class number from 0, centre x, centre y, width, height, score.

    The order of ultralytics' save_txt with save_conf. Lengths are parts of the image's width and
    height: an inclusive box is x2 - x1 + 1 wide, and its centre is at (x1 + x2 + 1) / 2.
    """
    x1, y1, x2, y2 = detections.boxes.astype(np.float64).T
    centres_and_sizes = np.stack(
        [(x1 + x2 + 1) / 2 / width, (y1 + y2 + 1) / 2 / height,
         (x2 - x1 + 1) / width, (y2 - y1 + 1) / height], axis=1,
    )  # fmt: skip
    rows = zip(detections.labels, centres_and_sizes, detections.scores, strict=True)
    return "".join(
        f"{label - 1} {' '.join(f'{value:.6g}' for value in (*numbers, score))}\n"
        for label, numbers, score in rows
    )


def start_yolo_folder(folder: Path, image_ids: Iterable[str], classes: Sequence[str]) -> None:
    """Write classes.txt, the names of the class numbers from 0.

    Raises MisuseError if the folder holds labels without scores (which are annotations), or the
    names of other classes: neither is replaced.
    """
    names = folder / _YOLO_CLASSES
    content = "".join(f"{' '.join(name.split())}\n" for name in classes)
    if names.exists() and _text_of(names) != content:
        raise MisuseError(f"{names}: lists other classes than the model. Choose another folder.")
    for image_id in image_ids:
        path = folder / f"{image_id}.txt"
        if path == names:
            raise MisuseError(f"{path}: this file contains the class names. Rename the image.")
        if path.exists():
            first_line = _text_of(path).partition("\n")[0]
            if first_line and len(first_line.split()) != _YOLO_COLUMNS:
                raise MisuseError(
                    f"{path}: contains no scores, so it may be an annotation and is not replaced.\n"
                    "Choose another folder."
                )
    write_whole(names, content.encode())


def _text_of(path: Path) -> str:
    try:
        return read_text(path)
    except (OSError, UnicodeDecodeError):
        return "unreadable"
