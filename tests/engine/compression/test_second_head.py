"""Compression of a network with two heads."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import pytest
import torch
from torch import nn

from frcnn_cli.engine.compression.bounds import parse_ranks
from frcnn_cli.engine.compression.layers import compress
from frcnn_cli.engine.compression.ranks import within_cost
from frcnn_cli.engine.compression.svd import decompose
from frcnn_cli.engine.network.layers.low_rank import LowRankLinear
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_proposals.errors import MisuseError


@pytest.fixture
def two_heads(small_model: FastRCNN) -> FastRCNN:
    torch.manual_seed(0)
    return FastRCNN(replace(small_model.architecture, cascade=True)).eval()


def test_one_rank_is_that_of_both_heads(two_heads: FastRCNN) -> None:
    compression = compress(two_heads, 5)
    model = compression.model
    assert model.second is not None
    layers = [model.fc6, model.fc7, model.second.fc6, model.second.fc7]
    assert all(isinstance(layer, LowRankLinear) for layer in layers)
    assert [each.name for each in compression.layers] == ["fc6", "fc7", "second.fc6", "second.fc7"]
    truncated = torch.linalg.svd(two_heads.second.fc6.weight.detach())  # type: ignore[union-attr]
    expected = (truncated.U[:, :5] * truncated.S[:5]) @ truncated.Vh[:5]
    thin = model.second.fc6
    assert torch.allclose(thin.second.weight @ thin.first.weight, expected, atol=1e-5)
    assert model.architecture.ranks_of_second == {"fc6": 5, "fc7": 5}


def test_the_second_head_can_have_its_own_rank(two_heads: FastRCNN) -> None:
    ranks = parse_ranks("fc6=4,second.fc6=3")
    assert not isinstance(ranks, int)
    found = {layer.name: layer.rank for layer in compress(two_heads, ranks).layers}
    assert found == {"fc6": 4, "second.fc6": 3}
    found = {layer.name: layer.rank for layer in compress(two_heads, {"fc6": 4}).layers}
    assert found == {"fc6": 4, "second.fc6": 4}


def test_a_rank_of_a_head_that_the_model_does_not_have_is_rejected(small_model: FastRCNN) -> None:
    with pytest.raises(MisuseError, match=r"second\.fc6: the model has no such layer"):
        compress(small_model, {"second.fc6": 3})


@pytest.mark.parametrize("most", [150, 300, 600, 959, 960])
def test_within_a_cost_no_other_ranks_of_both_heads_keep_more(most: float) -> None:
    torch.manual_seed(0)
    shapes = {"fc6": (30, 12), "fc7": (12, 10)}
    layers = {
        prefix + name: decompose(nn.Linear(*shape))
        for prefix in ("", "second.")
        for name, shape in shapes.items()
    }

    def cost(name: str, rank: int) -> int:
        inputs, outputs = shapes[name]
        return 2 * (rank * (inputs + outputs) if rank else inputs * outputs)

    def kept(name: str, rank: int) -> float:
        pair = (layers[name], layers[f"second.{name}"])
        shares = [float(layer.energy_kept[rank - 1]) if rank else 1.0 for layer in pair]
        return shares[0] * shares[1]

    affordable = [
        (a, b) for a, b in product(range(9), range(6)) if cost("fc6", a) + cost("fc7", b) <= most
    ]
    choice = within_cost(layers, most)
    assert choice is not None
    a, b = choice.ranks.get("fc6", 0), choice.ranks.get("fc7", 0)
    assert (choice.ranks.get("second.fc6", 0), choice.ranks.get("second.fc7", 0)) == (a, b)
    assert (a, b) in affordable
    best = max(kept("fc6", one) * kept("fc7", other) for one, other in affordable)
    assert kept("fc6", a) * kept("fc7", b) == pytest.approx(best)
