"""A table in a .csv file, a row a box."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import numpy as np

from frcnn_proposals.errors import InputError, reason
from frcnn_proposals.formats.base import Parsed, ToWrite
from frcnn_proposals.formats.content import Content
from frcnn_proposals.formats.layout import BoxLayout, Order
from frcnn_proposals.images import SUFFIXES

_IMAGES = ("image", "image_id", "imageid", "image_name", "filename", "file_name", "file", "path")
_SCORES = ("score", "confidence", "objectness")
_BOXES: dict[tuple[str, ...], Order] = {
    ("x1", "y1", "x2", "y2"): "xyxy",
    ("xmin", "ymin", "xmax", "ymax"): "xyxy",
    ("x_min", "y_min", "x_max", "y_max"): "xyxy",
    ("x", "y", "w", "h"): "xywh",
    ("x", "y", "width", "height"): "xywh",
}
_HEADER = ("image", "x1", "y1", "x2", "y2", "score")


class CsvTable:
    """The first line names the columns, in any order; columns of other names are not read.

    Written is image, x1, y1, x2, y2, score: 0-based, inclusive corners. A row without a box
    stands for an image that has none. `frcnn data export --format csv` has the same columns.
    """

    name = "csv"
    title = "CSV with a header (image; x1, y1, x2, y2 or x, y, w, h; score)"
    layouts = (BoxLayout("xyxy", 0), BoxLayout("xywh", 0))
    needs_order = False

    def parse(self, content: Content) -> Parsed | None:
        if content.text is None:
            return None
        first = content.text.partition("\n")[0]
        separator = max(",;\t", key=first.count)
        rows = csv.reader(io.StringIO(content.text, newline=""), delimiter=separator)
        try:
            header = [name.strip().lower() for name in next(rows, [])]
            columns = _columns(header)
            if columns is None:
                return None
            return _parsed(content.path, rows, columns)
        except csv.Error as error:
            raise InputError(f"{content.path}: line {rows.line_num}: {reason(error)}") from error

    def write(self, content: ToWrite, file: BinaryIO) -> None:
        text = io.TextIOWrapper(file, "utf-8", newline="", write_through=True)
        writer = csv.writer(text)
        writer.writerow(_HEADER)
        for image_id in content.ids:
            entry = content.proposals[image_id]
            scores = [""] * len(entry)
            if entry.scores is not None:
                scores = [f"{score:.9g}" for score in entry.scores.tolist()]
            for box, score in zip(entry.boxes.tolist(), scores, strict=True):
                writer.writerow((image_id, *(f"{value:.9g}" for value in box), score))
            if len(entry) == 0:
                writer.writerow((image_id, *[""] * 5))
        text.detach()


@dataclass(frozen=True)
class _Columns:
    """Where in a row the image, the four numbers and the score are."""

    image: int
    box: tuple[int, ...]
    score: int | None
    order: Order


def _columns(header: list[str]) -> _Columns | None:
    image = next((header.index(name) for name in _IMAGES if name in header), None)
    named = next((names for names in _BOXES if set(names) <= set(header)), None)
    if image is None or named is None:
        return None
    score = next((header.index(name) for name in _SCORES if name in header), None)
    return _Columns(image, tuple(map(header.index, named)), score, _BOXES[named])


def _parsed(path: Path, rows: Any, columns: _Columns) -> Parsed:
    boxes: dict[str, list[list[float]]] = {}
    scores: dict[str, list[float]] = {}
    scored = columns.score is not None
    for row in rows:
        if not row:
            continue
        try:
            image_id = _image_id(row[columns.image])
            cells = [row[column] for column in columns.box]
            of_image = boxes.setdefault(image_id, [])
            row_scores = scores.setdefault(image_id, [])
            if not any(cells):
                continue
            of_image.append([float(cell) for cell in cells])
            score = row[columns.score] if columns.score is not None else ""
            scored = scored and bool(score)
            row_scores.append(float(score or 0))
        except (IndexError, ValueError) as error:
            where = f"{path}: line {rows.line_num}"
            raise InputError(f"{where}: is no box ({reason(error)})") from error
    scored = scored and any(scores.values())
    tables, of_tables = [], []
    for name, rows_of_image in boxes.items():
        table, row_of_scores = np.array(rows_of_image).reshape(-1, 4), np.array(scores[name])
        if scored:  # the best first
            order = np.argsort(-row_of_scores, kind="stable")
            table, row_of_scores = table[order], row_of_scores[order]
        tables.append(table)
        of_tables.append(row_of_scores)
    layout = BoxLayout(columns.order, 0)
    return Parsed(tables, of_tables if scored else None, list(boxes), layout)


def _image_id(text: str) -> str:
    """File names lose the suffix of an image."""
    name = text.strip()
    if not name:
        raise ValueError("it names no image")
    path = PurePosixPath(name)
    return str(path.with_suffix("")) if path.suffix.lower() in SUFFIXES else name
