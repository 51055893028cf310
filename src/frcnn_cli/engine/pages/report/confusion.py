"""Confusions of classes at the threshold, as the page shows them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from frcnn_cli.engine.evaluation.at_threshold import AtThreshold

MOST_CLASSES = 25  # of a matrix; of more, only the most frequent confusions are listed
MOST_LISTED = 40
NO_OBJECT, NO_DETECTION = "no object", "not detected"
_SHADES = 5


@dataclass(frozen=True)
class Cell:
    """A cell of the matrix. shade: empty, or `right` or `wrong` with a level, such as right-3."""

    count: int
    shade: str


@dataclass(frozen=True)
class Confusions:
    """headings: of the columns. rows: (name, cells) of the matrix, empty for too many classes.

    largest: (object, detected as, count), the most frequent first.
    """

    headings: tuple[str, ...]
    rows: tuple[tuple[str, tuple[Cell, ...]], ...]
    largest: tuple[tuple[str, str, int], ...]


def confusions(classes: Sequence[str], result: AtThreshold) -> Confusions:
    """Arrange the matrix of a detector; levels are shares of a row."""
    counts = result.confusion
    headings, names = (*classes, NO_DETECTION), (*classes, NO_OBJECT)
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:MOST_LISTED].tolist()
    pairs = [divmod(place, len(names)) for place in order]
    largest = tuple(
        (names[row], headings[column], int(wrong[row, column]))
        for row, column in pairs
        if wrong[row, column]
    )
    if len(classes) > MOST_CLASSES:
        return Confusions(headings, (), largest)
    rows = tuple(
        (name, tuple(_cell(row, column, counts[row].tolist()) for column in range(len(headings))))
        for row, name in enumerate(names)
    )
    return Confusions(headings, rows, largest)


def _cell(row: int, column: int, counts: list[int]) -> Cell:
    count = counts[column]
    if count == 0:
        return Cell(0, "")
    level = -(-_SHADES * count // sum(counts))
    return Cell(count, f"{'right' if row == column else 'wrong'}-{level}")
