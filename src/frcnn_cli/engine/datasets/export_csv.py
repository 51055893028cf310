"""A table, a row an object: 0-based inclusive corners in pixels of the original image."""

from __future__ import annotations

import csv
import io

from frcnn_cli.engine.datasets.export_records import ExportImage

_COLUMNS = ("image", "class", "x1", "y1", "x2", "y2", "score", "difficult", "crowd")


def csv_table(images: list[ExportImage]) -> bytes:
    """With a header; an image without objects has no row, ground truth no score."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(_COLUMNS)
    for image in images:
        for item in image.objects:
            score = "" if item.score is None else repr(item.score)
            flags = (int(item.difficult), int(item.crowd))
            writer.writerow((image.record.image_id, item.name, *item.box, score, *flags))
    return text.getvalue().encode()
