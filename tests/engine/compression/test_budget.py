"""Ranks for a time budget, with simulated times."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from frcnn_cli.engine.compression.bounds import parse_budget
from frcnn_cli.engine.compression.ranks import Choice, Measure, within_time
from frcnn_cli.engine.compression.svd import Decomposition, decompose
from frcnn_cli.engine.detection.stage_times import StageTimes
from frcnn_proposals.errors import MisuseError


@pytest.fixture
def layers() -> dict[str, Decomposition]:
    torch.manual_seed(0)
    return {"fc6": decompose(nn.Linear(300, 120)), "fc7": decompose(nn.Linear(120, 100))}


def clock(slower: float) -> Measure:
    """Simulated seconds: 1 for the other stages plus 1 per 36,000 multiply-adds of the layers.

    Layers in two parts take `slower` times as long.
    """

    def times(choice: Choice) -> StageTimes:
        stages = {"fc6": 300 * 120 / 36_000, "fc7": 120 * 100 / 36_000}
        sizes = {"fc6": 420, "fc7": 220}
        stages |= {
            name: slower * rank * sizes[name] / 36_000 for name, rank in choice.ranks.items()
        }
        return StageTimes(1.0 + sum(stages.values()), stages)

    return lambda choice: (times(Choice({})), times(choice))


@pytest.mark.parametrize("slower", [0.7, 1.0, 1.6])
@pytest.mark.parametrize("budget", [0.8, 0.7, 0.6])
def test_the_time_is_just_under_the_budget(
    layers: dict[str, Decomposition], slower: float, budget: float
) -> None:
    measure = clock(slower)
    choice = within_time(layers, budget, measure)
    before, after = measure(choice)
    assert budget - 0.06 <= after.seconds / before.seconds <= budget


def test_a_budget_below_the_time_of_the_other_stages_is_rejected(
    layers: dict[str, Decomposition],
) -> None:
    # The other stages take 1 of 2.33 seconds.
    with pytest.raises(MisuseError, match=r"other than fc6 and fc7 take 0\.43 of it"):
        within_time(layers, 0.4, clock(1.0))


def test_budgets_are_parsed() -> None:
    assert parse_budget("0.7x") == 0.7
    assert parse_budget("0.5") == 0.5
    for wrong in ("1x", "0x", "-1", "fast", "nan", ""):
        with pytest.raises(MisuseError, match="Invalid budget"):
            parse_budget(wrong)
