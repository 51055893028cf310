"""The shares of the processes of a team."""

from __future__ import annotations

import pytest

from frcnn_cli.engine.distributed.team import ALONE, Team

ITEMS = tuple(range(20))
# What a process left that was killed early, and what is left of a nearly finished run.
DONE = [{*range(0, 20, 3)}, {*range(1, 20)}, set(), {*ITEMS}]


@pytest.mark.parametrize("done", DONE)
@pytest.mark.parametrize("world", [2, 3, 7, 30])
def test_unfinished_items_are_divided_evenly(world: int, done: set[int]) -> None:
    shares = [Team(rank, world).part(ITEMS, done.__contains__) for rank in range(world)]
    assert sorted(item for share in shares for item in share) == list(ITEMS)
    for counted in (set(ITEMS) - done, set(ITEMS)):
        counts = [len(counted & set(share)) for share in shares]
        assert max(counts) - min(counts) <= 1


def test_a_single_process_keeps_the_order() -> None:
    assert ALONE.part(ITEMS, DONE[0].__contains__) == ITEMS
