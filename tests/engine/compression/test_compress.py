"""Models with layers in two parts."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from frcnn_cli.engine.compression.layers import compress
from frcnn_cli.engine.models.store import as_stored, is_half, load_model, save_model
from frcnn_cli.engine.network.layers.low_rank import LowRankLinear
from frcnn_cli.engine.network.model import FastRCNN, parameter_count
from frcnn_proposals.errors import InputError, MisuseError


def test_one_rank_skips_layers_that_would_not_shrink(small_model: FastRCNN) -> None:
    # fc6 is 24 x 6272, fc7 16 x 24, which pays up to rank 9.
    compression = compress(small_model, 12)
    assert [layer.name for layer in compression.layers] == ["fc6"]
    assert "rank 9" in compression.unchanged["fc7"]
    assert isinstance(compression.model.fc6, LowRankLinear)
    saved = 24 * 6272 - 12 * (24 + 6272)
    assert parameter_count(small_model) - parameter_count(compression.model) == saved
    (layer,) = compression.layers
    assert (layer.weights_before, layer.weights) == (24 * 6272, 12 * (24 + 6272))


def test_a_rank_given_for_a_layer_that_it_would_not_shrink_is_rejected(
    small_model: FastRCNN,
) -> None:
    with pytest.raises(MisuseError, match="up to rank 9"):
        compress(small_model, {"fc7": 10})


def test_the_compressed_model_computes_with_the_truncated_weights(small_model: FastRCNN) -> None:
    thin = compress(small_model, {"fc6": 5}).model
    with torch.inference_mode():
        small_model.fc6.weight.copy_(thin.fc6.second.weight @ thin.fc6.first.weight)
        images, rois = torch.randn(1, 3, 64, 96), torch.tensor([[0, 0.0, 0, 63, 63]])
        truncated, compressed = small_model(images, rois), thin(images, rois)
    assert torch.allclose(truncated.logits, compressed.logits, atol=1e-5)


def test_compressing_twice_equals_compressing_once_to_the_lower_rank(small_model: FastRCNN) -> None:
    once = compress(small_model, {"fc6": 4, "fc7": 3})
    first = compress(small_model, {"fc6": 9, "fc7": 8})
    twice = compress(first.model, {"fc6": 4, "fc7": 3})
    for name in ("fc6", "fc7"):
        thin, other = getattr(once.model, name), getattr(twice.model, name)
        assert torch.allclose(
            thin.second.weight @ thin.first.weight,
            other.second.weight @ other.first.weight,
            atol=1e-6,
        )
    # The shares kept by both truncations multiply to the share kept by a single one.
    for direct, before, after in zip(once.layers, first.layers, twice.layers, strict=True):
        assert before.energy * after.energy == pytest.approx(direct.energy, rel=1e-5)


def test_the_same_rank_again_does_not_change_the_layer(small_model: FastRCNN) -> None:
    once = compress(small_model, {"fc6": 4}).model
    assert "already has rank 4" in compress(once, 4).unchanged["fc6"]


def test_half_is_read_back_as_it_was_measured(small_model: FastRCNN, tmp_path: Path) -> None:
    thin = compress(small_model, {"fc6": 5}).model
    full, half = tmp_path / "full.safetensors", tmp_path / "half.safetensors"
    save_model(thin, full, {})
    save_model(thin, half, {}, half=True)
    assert is_half(half)
    assert not is_half(full)
    assert half.stat().st_size < 0.52 * full.stat().st_size
    loaded, _ = load_model(half)
    measured = as_stored(thin, half=True).state_dict()
    for name, value in loaded.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, measured[name]), name
        # bfloat16 keeps 8 bits: off by at most one part in 256.
        exact = thin.state_dict()[name]
        assert ((value - exact).abs() <= exact.abs() / 256).all(), name
    assert torch.equal(loaded.fc7.bias, thin.fc7.bias)
    assert not torch.equal(loaded.fc7.weight, thin.fc7.weight)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_an_error(small_model: FastRCNN, value: float) -> None:
    with torch.no_grad():
        small_model.fc7.weight[3, 4] = value
    with pytest.raises(InputError, match="fc7: some weights are not finite"):
        compress(small_model, 2)
