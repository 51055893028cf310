"""The comparison of the ids of proposals and images."""

from __future__ import annotations

import numpy as np
import pytest

from frcnn_proposals.base import Proposals
from frcnn_proposals.errors import InputError
from frcnn_proposals.image_ids import match_ids

NONE = Proposals(np.zeros((0, 4)))


def proposals(*ids: str) -> dict[str, Proposals]:
    return dict.fromkeys(ids, NONE)


def test_exact_match():
    match = match_ids(proposals("a", "b"), ["b", "a"])
    assert match.is_exact
    assert match.describe() == ""
    match.reject_mismatch("x", "y")


def test_both_sides_are_counted_and_named():
    match = match_ids(proposals("a", "x", "y"), ["a", "b", "c"])
    assert (match.missing, match.extra, match.extra_count) == (("b", "c"), ("x", "y"), 2)
    with pytest.raises(InputError) as error:
        match.reject_mismatch("boxes.pkl", "Allow it with --allow-mismatch")
    for part in (
        "boxes.pkl: 2 of 3 images have no proposals (b, c)",
        "2 ids with proposals are not among the images (x, y)",
        "--allow-mismatch",
    ):
        assert part in str(error.value)


def test_only_the_first_ids_are_named():
    match = match_ids(proposals(*map(str, range(100))), [])
    assert (len(match.extra), match.extra_count) == (5, 100)
    assert match.describe().endswith("0, 1, 2, 3, 4, ...)")


def test_ids_of_other_splits_are_not_a_mismatch():
    calls = []

    def others():
        calls.append(True)
        return ["test1"]

    assert match_ids(proposals("a", "test1"), ["a"], others).is_exact
    assert not match_ids(proposals("a", "test1", "x"), ["a"], others).is_exact
    assert len(calls) == 2
    match_ids(proposals("a"), ["a"], others)
    assert len(calls) == 2  # it can be slow, so it is called only if needed
