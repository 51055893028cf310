"""A table in a .csv file, one row per box."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any, BinaryIO

from frcnn_proposals.errors import InputError, reason
from frcnn_proposals.formats.base import Parsed, ToWrite, WritableFormat
from frcnn_proposals.formats.containers.tables import BoxRows, tables_of_rows
from frcnn_proposals.formats.content import Content
from frcnn_proposals.formats.layout import BoxLayout, Order

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


class CsvTable(WritableFormat):
    """The first line names the columns, in any order. Columns with other names are ignored.

    Writes image, x1, y1, x2, y2, score: 0-based, inclusive corners. A row without a box means an
    image without boxes. `frcnn data export --format csv` writes the same columns.
    """

    name = "csv"
    title = "CSV with a header (image; x1, y1, x2, y2 or x, y, w, h; score)"
    layouts = (BoxLayout("xyxy", 0), BoxLayout("xywh", 0))

    def parse(self, content: Content) -> Parsed | None:
        text = content.of("csv")
        if text is None:
            return None
        first = text.partition("\n")[0]
        separator = max(",;\t", key=first.count)
        # A StringIO would take four bytes per letter.
        lines = io.TextIOWrapper(io.BytesIO(text.encode()), "utf-8", newline="")
        rows = csv.reader(lines, delimiter=separator)
        try:
            header = [name.strip().lower() for name in next(rows, [])]
            return _parsed(content.path, header, rows)
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


def _parsed(path: Path, header: list[str], rows: Any) -> Parsed | None:
    image_at = next((header.index(name) for name in _IMAGES if name in header), None)
    named = next((names for names in _BOXES if set(names) <= set(header)), None)
    if image_at is None or named is None:
        return None
    score_at = next((header.index(name) for name in _SCORES if name in header), None)
    box_at = [header.index(name) for name in named]
    of_image: dict[str, BoxRows] = {}
    for row in rows:
        if not row:
            continue
        try:
            name = _name(row[image_at])
            boxes = of_image[name] if name in of_image else of_image.setdefault(name, BoxRows())
            cells = [row[place] for place in box_at]
            if any(cells):
                score = "" if score_at is None else row[score_at]
                boxes.add([float(cell) for cell in cells], float(score) if score else None)
        except (IndexError, ValueError) as error:
            where = f"{path}: line {rows.line_num}"
            raise InputError(f"{where}: is not a box ({reason(error)})") from error
    return Parsed(*tables_of_rows(of_image), list(of_image), BoxLayout(_BOXES[named], 0))


def _name(text: str) -> str:
    name = text.strip()
    if not name:
        raise ValueError("the image is empty")
    return name
