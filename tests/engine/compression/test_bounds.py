"""Bounds: at most one, in range, and checked without importing the network's libraries."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest

from frcnn_cli.engine.compression.bounds import Bound, parse_bound
from frcnn_proposals.errors import MisuseError


@pytest.mark.parametrize(
    "given",
    [
        {"svd_rank": 1},
        {"svd_rank": {"fc7": 3}},
        {"energy": 1.0},
        {"budget": 0.99},
        {"max_drop": 0.0},
        {"max_drop": 100.0},
    ],
)
def test_one_value_in_range_is_accepted(given: dict[str, Any]) -> None:
    bound = Bound(**given)
    assert bound.to_json() == given
    assert not bound.is_none
    assert Bound().is_none


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"svd_rank": 4, "energy": 0.5}, "svd_rank and energy cannot be combined"),
        ({"svd_rank": 0}, "Invalid rank"),
        ({"svd_rank": {}}, "Invalid rank"),
        ({"svd_rank": {"fc6": 3, "fc8": 3}}, "Invalid rank"),
        ({"energy": 0.0}, "at most 1"),
        ({"energy": float("nan")}, "at most 1"),
        ({"budget": 1.0}, "Invalid budget"),
        ({"max_drop": -0.1}, "0 to 100"),
        ({"max_drop": 100.1}, "0 to 100"),
    ],
)
def test_a_value_out_of_range_is_rejected(given: dict[str, Any], words: str) -> None:
    with pytest.raises(MisuseError, match=words):
        Bound(**given)


def test_a_bound_is_parsed_from_options() -> None:
    assert parse_bound("fc6=4", None, None, None) == Bound(svd_rank={"fc6": 4})
    assert parse_bound(None, None, "0.7x", None) == Bound(budget=0.7)
    assert parse_bound(None, None, None, None).is_none


def test_a_command_line_is_checked_without_torch() -> None:
    check = (
        "import sys, frcnn_cli.engine.compression.bounds\n"
        "assert not {'torch', 'cv2', 'scipy', 'matplotlib'} & set(sys.modules), sys.modules"
    )
    subprocess.run([sys.executable, "-c", check], check=True)
