"""The figure of all precision-recall curves."""

from __future__ import annotations

import pytest

from frcnn_cli.engine.pages.report.plots import _columns


@pytest.mark.parametrize(
    ("classes", "columns", "empty"),
    [(1, 1, 0), (3, 3, 0), (4, 4, 0), (6, 3, 0), (7, 4, 1), (20, 5, 0), (80, 5, 0)],
)
def test_few_cells_of_the_grid_are_empty(classes: int, columns: int, empty: int) -> None:
    assert _columns(classes) == columns
    assert -classes % _columns(classes) == empty


@pytest.mark.parametrize("classes", range(1, 101))
def test_at_most_two_cells_are_empty(classes: int) -> None:
    assert -classes % _columns(classes) <= 2
