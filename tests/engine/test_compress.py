"""Truncated SVD, held against NumPy's."""

import numpy as np
import pytest
import torch
from torch import nn

from frcnn_cli.engine.compress import compress, parse_ranks
from frcnn_cli.engine.low_rank import LowRankLinear, break_even_rank, truncate
from frcnn_cli.engine.model import FastRCNN, parameter_count
from frcnn_proposals.errors import MisuseError


@pytest.mark.parametrize("shape", [(40, 90), (90, 40)])
def test_truncation_is_the_best_approximation(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(shape[1], shape[0])
    thin, energy = truncate(layer, 7)
    left, values, right = np.linalg.svd(layer.weight.detach().double().numpy())
    best = (left[:, :7] * values[:7]) @ right[:7]
    ours = (thin.second.weight.double() @ thin.first.weight.double()).detach().numpy()
    assert np.abs(ours - best).max() < 1e-5
    assert energy == pytest.approx((values[:7] ** 2).sum() / (values**2).sum(), rel=1e-6)


def test_at_full_rank_the_layer_does_what_it_did() -> None:
    layer = nn.Linear(12, 9)
    thin, energy = truncate(layer, 9)
    x = torch.randn(5, 12)
    assert torch.allclose(thin(x), layer(x), atol=1e-5)
    assert energy == pytest.approx(1.0)
    assert thin.first.bias is None


def test_break_even_by_hand() -> None:
    # VGG16's fc7: t * 8192 < 4096 * 4096 up to 2047. fc6: t * 29184 < 25088 * 4096.
    assert break_even_rank(4096, 4096) == 2047
    assert break_even_rank(25088, 4096) == 3521


def test_one_rank_leaves_alone_what_it_would_not_shrink(small_model: FastRCNN) -> None:
    # fc6 is 24 x 6272, fc7 16 x 24, which pays up to rank 9.
    compression = compress(small_model, 12)
    assert [layer.name for layer in compression.layers] == ["fc6"]
    assert "rank 9" in compression.left_alone["fc7"]
    assert isinstance(compression.model.fc6, LowRankLinear)
    saved = 24 * 6272 - 12 * (24 + 6272)
    assert parameter_count(small_model) - parameter_count(compression.model) == saved


def test_a_rank_asked_for_by_layer_past_break_even_is_refused(small_model: FastRCNN) -> None:
    with pytest.raises(MisuseError, match="up to rank 9"):
        compress(small_model, {"fc7": 10})


def test_the_compressed_model_computes_with_the_truncated_weights(small_model: FastRCNN) -> None:
    thin = compress(small_model, {"fc6": 5}).model
    with torch.inference_mode():
        small_model.fc6.weight.copy_(thin.fc6.second.weight @ thin.fc6.first.weight)
        images, rois = torch.randn(1, 3, 64, 96), torch.tensor([[0, 0.0, 0, 63, 63]])
        truncated, compressed = small_model(images, rois), thin(images, rois)
    assert torch.allclose(truncated.logits, compressed.logits, atol=1e-5)


def test_compressing_twice_says_why_not(small_model: FastRCNN) -> None:
    once = compress(small_model, {"fc6": 4}).model
    assert "already two layers" in compress(once, 4).left_alone["fc6"]


@pytest.mark.parametrize(
    ("text", "expected"), [("256", 256), ("fc6=1024,fc7=256", {"fc6": 1024, "fc7": 256})]
)
def test_ranks_as_written(text: str, expected: object) -> None:
    assert parse_ranks(text) == expected


@pytest.mark.parametrize("text", ["", "many", "0", "-3", "fc8=3", "fc6=", "fc6=0", "fc6=3,fc7"])
def test_what_is_no_rank_is_refused(text: str) -> None:
    with pytest.raises(MisuseError, match="is no rank"):
        parse_ranks(text)
