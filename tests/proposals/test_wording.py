"""Counts in messages, and of boxes in `frcnn proposals inspect`."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from frcnn_cli.cli import cli
from frcnn_proposals.wording import counted, first_of, rate_of

SOURCES = [
    path
    for root in ("src", "proposals")
    for path in sorted((Path(__file__).parents[2] / root).rglob("*.py"))
]


def test_one_has_no_plural() -> None:
    assert [counted(n, "image") for n in (0, 1, 2)] == ["0 images", "1 image", "2 images"]
    assert counted(1, "box", "boxes") == "1 box"
    assert counted(3, "image is", "images are") == "3 images are"


def test_the_first_of_many_names() -> None:
    assert first_of((), 2) == ""
    assert first_of(("cat", "dog"), 2) == "cat, dog"
    assert first_of(("cat", "dog", "cow", "bus"), 2) == "cat, dog and 2 more"


def test_slow_work_has_seconds_per_item() -> None:
    assert rate_of(8, "image") == "8.0 images/s"
    assert rate_of(1, "image") == "1.0 images/s"
    assert rate_of(0.4, "frame") == "2.5 s per frame"
    assert rate_of(0.004, "image") == "250.0 s per image"


@pytest.mark.parametrize(
    ("counts", "expected"),
    [
        ((128591,), "128,591: 128,591 per image"),
        ((1, 2), "3: 1 to 2 per image, 1.5 on average"),
        ((1000, 2001), "3,001: 1,000 to 2,001 per image, 1,500 on average"),
    ],
)
def test_box_counts_have_no_digits_that_mean_nothing(
    tmp_path: Path, counts: tuple[int, ...], expected: str
) -> None:
    path = tmp_path / "boxes.npz"
    np.savez(path, **{f"image{n}": np.tile([0, 0, 9, 9], (n, 1)) for n in counts})
    result = CliRunner().invoke(cli, ["proposals", "inspect", str(path)])
    assert expected in result.stdout, result.output


def test_lines_of_results_count_by_the_helper() -> None:
    """The lines that a command prints at its end have no "1 images"."""
    fixed = re.compile(r"output\.(print|note|warn)\([^)]*\{[\w.()]+\} images\b")
    found = [str(path) for path in SOURCES if fixed.search(path.read_text("utf-8"))]
    assert found == [], "use counted()"
