"""The checks of boxes from outside: what is valid, and what is named."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from frcnn_proposals.base import Proposals
from frcnn_proposals.checks import check_proposals

FAULTS = {
    "nan": ((0, 0, np.nan, 5), "is not finite"),
    "infinite": ((-np.inf, 0, 5, 5), "is not finite"),
    "x": ((6, 0, 5, 5), "x2 < x1"),
    "y": ((0, 6, 5, 5), "y2 < y1"),
    "left": ((-0.02, 0, 5, 5), "outside"),
    "top": ((0, -1, 5, 5), "outside"),
    "right": ((0, 0, 40, 5), "outside"),
    "bottom": ((0, 0, 5, 29.02), "outside"),
}


@pytest.mark.parametrize("place", [0, 7, 15])
@pytest.mark.parametrize("fault", FAULTS)
def test_one_bad_box_among_valid_ones_is_named(fault: str, place: int) -> None:
    boxes = np.tile(np.array([0, 0, 39.009, 29.009], np.float32), (16, 1))
    check_proposals(Proposals(boxes), 40, 30)
    boxes[place], message = FAULTS[fault]
    if message == "outside":
        check_proposals(Proposals(boxes))
        check_proposals(Proposals(boxes), 40, None)
    with pytest.raises(ValueError, match=rf"box {place} .*{message}"):
        check_proposals(Proposals(boxes), 40, 30)


def test_scores_and_no_boxes() -> None:
    check_proposals(Proposals([], []), 40, 30)
    boxes = np.zeros((3, 4), np.float32)
    check_proposals(Proposals(boxes, np.array([1, np.inf, -np.inf])), 40, 30)
    with pytest.raises(ValueError, match=r"box 2 .* has NaN as its score"):
        check_proposals(Proposals(boxes, np.array([1, 2, np.nan])), 40, 30)


def test_every_pair_of_corners() -> None:
    """Compared with the conditions box by box, near each limit."""
    values = np.float32([-np.inf, -0.011, -0.01, 0, 5, 9.01, 9.011, np.nan])
    for box in itertools.product(values, repeat=4):
        x1, y1, x2, y2 = box
        is_valid = (
            all(map(np.isfinite, box))
            and x2 >= x1
            and y2 >= y1
            and min(x1, y1) >= np.float32(-0.01)
            and max(x2, y2) <= np.float32(9) + np.float32(0.01)
        )
        try:
            check_proposals(Proposals([box]), 10, 10)
        except ValueError:
            assert not is_valid, box
        else:
            assert is_valid, box
