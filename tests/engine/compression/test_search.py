"""The search by mAP, on known curves."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import nn

from frcnn_cli.engine.compression.ranks import Choice
from frcnn_cli.engine.compression.search import Rung, ladder, lowest_within
from frcnn_cli.engine.compression.svd import decompose
from frcnn_proposals.errors import MisuseError

RUNGS = tuple(Rung(Choice({"fc6": number} if number else {}), 0.9**number) for number in range(36))


def measuring(curve: Callable[[int], float], passes: list[int]) -> Callable[..., Sequence[float]]:
    def measure(choices: Sequence[Choice]) -> Sequence[float]:
        passes.append(len(choices))
        return [curve(choice.ranks.get("fc6", 0)) for choice in choices]

    return measure


@pytest.mark.parametrize("last", range(1, 36))
def test_if_map_falls_steadily_the_lowest_rung_is_found_in_two_passes(last: int) -> None:
    passes: list[int] = []
    # A thousandth of a point per rung, and a drop of one point after `last`.
    search = lowest_within(
        RUNGS, 0.3, measuring(lambda rung: 0.5 - rung * 1e-5 - 0.01 * (rung > last), passes)
    )
    assert search.chosen.rung == RUNGS[last]
    assert search.before == 0.5
    assert len(passes) == 2


def test_the_returned_rung_was_measured_and_keeps_the_bound() -> None:
    # Up and down: 7 points lost on every third rung.
    values: dict[int, float] = {}

    def curve(rung: int) -> float:
        values[rung] = 0.5 - 0.07 * (rung % 3 == 1)
        return values[rung]

    search = lowest_within(RUNGS, 0.3, measuring(curve, []))
    number = search.chosen.rung.choice.ranks["fc6"]
    assert values[number] == 0.5
    assert len(search.trials) == len(values)


def test_the_error_if_no_rung_keeps_the_bound_names_the_smallest_drop() -> None:
    with pytest.raises(
        MisuseError, match=r"more than 0\.3 mAP points; the smallest drop was 2\.00"
    ):
        lowest_within(RUNGS, 0.3, measuring(lambda rung: 0.5 - 0.02 * (rung > 0), []))


def test_a_gain_is_within_any_bound() -> None:
    search = lowest_within(RUNGS, 0.0, measuring(lambda rung: 0.5 + 0.001 * rung, []))
    assert search.chosen.rung == RUNGS[-1]


def test_a_ladder_goes_down_from_the_uncompressed_model() -> None:
    torch.manual_seed(0)
    layers = {"fc6": decompose(nn.Linear(60, 30)), "fc7": decompose(nn.Linear(30, 30))}
    uncompressed = 60 * 30 + 30 * 30
    rungs = ladder(layers)
    assert rungs[0].choice.ranks == {}
    for rung in rungs:
        ranks = rung.choice.ranks
        cost = ranks["fc6"] * 90 if "fc6" in ranks else 1800
        cost += ranks["fc7"] * 60 if "fc7" in ranks else 900
        assert cost <= rung.cost * uncompressed
    assert len({str(rung.choice.ranks) for rung in rungs}) == len(rungs)


def test_a_drop_equal_to_the_bound_is_within_it() -> None:
    search = lowest_within(RUNGS, 0.0, measuring(lambda rung: 0.5, []))
    assert search.chosen.rung == RUNGS[-1]
