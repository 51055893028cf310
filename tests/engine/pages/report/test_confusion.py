"""The confusion matrix of the page."""

from __future__ import annotations

import numpy as np

from frcnn_cli.engine.evaluation.at_threshold import AtThreshold, ClassAtThreshold
from frcnn_cli.engine.pages.report.confusion import MOST_CLASSES, Cell, confusions


def result(matrix: list[list[int]]) -> AtThreshold:
    return AtThreshold(0.5, ClassAtThreshold("all", 0, 0, 0), (), np.array(matrix))


def test_cells_have_their_share_of_the_row() -> None:
    shown = confusions(("cat", "dog"), result([[9, 1, 0], [0, 2, 3], [0, 4, 0]]))
    assert shown.headings == ("cat", "dog", "not detected")
    assert [name for name, _ in shown.rows] == ["cat", "dog", "no object"]
    cells = [list(row) for _, row in shown.rows]
    assert cells[0] == [Cell(9, "right-5"), Cell(1, "wrong-1"), Cell(0, "")]
    assert cells[1] == [Cell(0, ""), Cell(2, "right-2"), Cell(3, "wrong-3")]
    assert cells[2][1] == Cell(4, "wrong-5")


def test_the_most_frequent_confusions_come_first() -> None:
    shown = confusions(("cat", "dog"), result([[9, 1, 0], [0, 2, 3], [0, 4, 0]]))
    assert shown.largest == (
        ("no object", "dog", 4),
        ("dog", "not detected", 3),
        ("cat", "dog", 1),
    )


def test_of_many_classes_only_the_confusions_are_listed() -> None:
    many = tuple(f"class {number}" for number in range(MOST_CLASSES + 1))
    matrix = np.eye(len(many) + 1, dtype=np.int64)
    matrix[3, 7] = 2
    shown = confusions(many, result(matrix.tolist()))
    assert shown.rows == ()
    assert shown.largest == (("class 3", "class 7", 2),)
