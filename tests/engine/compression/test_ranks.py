"""Choices of ranks, compared with trying all of them."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from torch import nn

from frcnn_cli.engine.compression.bounds import parse_ranks
from frcnn_cli.engine.compression.ranks import by_energy, by_rank, within_cost
from frcnn_cli.engine.compression.svd import Decomposition, decompose
from frcnn_cli.engine.network.layers.low_rank import LowRankLinear, break_even_rank
from frcnn_proposals.errors import MisuseError


@pytest.fixture
def layers() -> dict[str, Decomposition]:
    torch.manual_seed(0)
    return {"fc6": decompose(nn.Linear(30, 12)), "fc7": decompose(nn.Linear(12, 10))}


def test_break_even_by_hand() -> None:
    # VGG16's fc7: t * 8192 < 4096 * 4096 up to 2047. fc6: t * 29184 < 25088 * 4096.
    assert break_even_rank(4096, 4096) == 2047
    assert break_even_rank(25088, 4096) == 3521


def test_one_rank_for_all_is_not_applied_to_a_layer_that_it_would_not_shrink(
    layers: dict[str, Decomposition],
) -> None:
    # fc6 is 12 x 30: t * 42 < 360 up to 8. fc7 is 10 x 12: t * 22 < 120 up to 5.
    choice = by_rank(layers, 6)
    assert choice.ranks == {"fc6": 6}
    assert "up to rank 5" in choice.unchanged["fc7"]


def test_a_rank_given_for_a_layer_that_it_would_not_shrink_is_rejected(
    layers: dict[str, Decomposition],
) -> None:
    assert by_rank(layers, {"fc7": 5}).ranks == {"fc7": 5}
    with pytest.raises(
        MisuseError, match=r"fc7 cannot .* rank 6: a layer of 10 x 12 .* up to rank 5"
    ):
        by_rank(layers, {"fc6": 2, "fc7": 6})


def test_the_error_for_a_layer_in_two_parts_names_its_rank() -> None:
    thin = {"fc6": decompose(LowRankLinear(30, 12, 4))}
    with pytest.raises(MisuseError, match="already has rank 4 gets smaller only up to rank 3"):
        by_rank(thin, {"fc6": 4})


@pytest.mark.parametrize("share", [0.1, 0.3, 0.5, 0.62])
def test_energy_takes_the_smallest_rank_that_keeps_it(
    layers: dict[str, Decomposition], share: float
) -> None:
    choice = by_energy(layers, share)
    for name, layer in layers.items():
        energies = np.linalg.svd(layer.layer.weight.detach().double().numpy())[1] ** 2
        enough = [
            rank
            for rank in range(1, len(energies) + 1)
            if energies[:rank].sum() / energies.sum() >= share
        ]
        if enough[0] <= layer.largest_rank:
            assert choice.ranks[name] == enough[0]
        else:
            assert f"needs rank {enough[0]}" in choice.unchanged[name]


def test_keeping_all_of_the_energy_changes_no_layer(layers: dict[str, Decomposition]) -> None:
    assert by_energy(layers, 1.0).ranks == {}
    with pytest.raises(MisuseError, match="at most 1"):
        by_energy(layers, 1.5)


@pytest.mark.parametrize("most", [64, 100, 150, 200, 300, 400, 479, 480])
@pytest.mark.parametrize("prices", [None, {"fc6": 1.0, "fc7": 3.0}])
def test_within_a_cost_no_other_choice_keeps_more(
    layers: dict[str, Decomposition], most: float, prices: dict[str, float] | None
) -> None:
    price = prices or {"fc6": 1.0, "fc7": 1.0}

    def cost(name: str, rank: int) -> float:
        layer = layers[name]
        numbers = rank * (layer.inputs + layer.outputs) if rank else layer.inputs * layer.outputs
        return numbers * price[name]

    def kept(name: str, rank: int) -> float:
        return float(layers[name].energy_kept[rank - 1]) if rank else 1.0

    combinations = product(range(9), range(6))  # 0: uncompressed
    affordable = [r for r in combinations if cost("fc6", r[0]) + cost("fc7", r[1]) <= most]
    choice = within_cost(layers, most, prices)
    if not affordable:
        assert choice is None
        return
    assert choice is not None
    chosen = (choice.ranks.get("fc6", 0), choice.ranks.get("fc7", 0))
    assert chosen in affordable
    most_kept = max(kept("fc6", a) * kept("fc7", b) for a, b in affordable)
    assert kept("fc6", chosen[0]) * kept("fc7", chosen[1]) == pytest.approx(most_kept)


@pytest.mark.parametrize(
    ("text", "expected"), [("256", 256), ("fc6=1024,fc7=256", {"fc6": 1024, "fc7": 256})]
)
def test_ranks_are_parsed(text: str, expected: object) -> None:
    assert parse_ranks(text) == expected


@pytest.mark.parametrize("text", ["", "many", "0", "-3", "fc8=3", "fc6=", "fc6=0", "fc6=3,fc7"])
def test_an_invalid_rank_is_rejected(text: str) -> None:
    with pytest.raises(MisuseError, match="Invalid rank"):
        parse_ranks(text)
