"""The table of detections: per detection, per image, or per class, by the number of images."""

from __future__ import annotations

import numpy as np
import pytest

from frcnn_cli.commands.detect.output import detection_table
from frcnn_cli.engine.records import Detections

CLASSES = ("cat", "dog")


def found(images: int) -> dict[str, Detections]:
    """Two cats and a dog in all images but the last, which is empty."""
    boxes, scores = np.zeros((3, 4), np.float32), np.float32([0.9, 0.8, 0.7])
    full = Detections(boxes, scores, np.array([1, 2, 1]))
    return {f"i{n}": full if n < images - 1 else Detections() for n in range(images)}


@pytest.mark.parametrize(
    ("images", "headings", "rows"),
    [
        (2, ("image", "class", "score", "x1", "y1", "x2", "y2"), 3 + 1),
        (4, ("image", "objects"), 4),
        (50, ("image", "objects"), 50),
        (51, ("class", "detections", "images"), 3),
        (5000, ("class", "detections", "images"), 3),
    ],
)
def test_the_table_stays_short(images: int, headings: tuple[str, ...], rows: int) -> None:
    table = detection_table(found(images), CLASSES)
    assert tuple(column.header for column in table.columns) == headings
    assert table.row_count == rows


def test_counts_per_class() -> None:
    columns = [list(column.cells) for column in detection_table(found(2001), CLASSES).columns]
    assert [[str(cell) for cell in cells] for cells in columns] == [
        ["cat", "dog", "no detections"],
        ["4,000", "2,000", ""],
        ["2,000", "2,000", "1"],
    ]
