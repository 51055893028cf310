"""Prepared models return the same outputs as before."""

import numpy as np
import pytest
import torch
from torch import nn

import frcnn_cli.engine.network.model as model_module
from frcnn_cli.engine.detection.prepare import (
    HalvingPool,
    PackedLinear,
    WinogradConv,
    can_halve,
    can_pack,
    can_transform,
    prepare_model,
)
from frcnn_cli.engine.network.creation import with_ranks
from frcnn_cli.engine.network.model import FastRCNN

ROIS = torch.tensor(
    np.concatenate(
        [np.zeros((150, 1)), np.sort(np.random.default_rng(0).uniform(0, 60, (150, 4)), axis=1)],
        axis=1,
    ),
    dtype=torch.float32,
)[:, [0, 1, 2, 3, 4]]


@pytest.fixture
def small_model(small_model: FastRCNN) -> FastRCNN:
    """Weights that keep the features from vanishing with depth; otherwise all RoIs are equal."""
    for layer in small_model.features.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.kaiming_normal_(layer.weight)
    return small_model


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(1, 3, 64, 80, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("rois", [0, 1, 2, 150])
def test_blocks_do_not_change_outputs(
    small_model: FastRCNN,
    images: torch.Tensor,
    rois: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    with torch.enable_grad():
        whole = small_model(images, ROIS[:rois])  # training processes all RoIs at once
    assert (
        rois < 2 or whole.logits.std(dim=0).min() > 1e-3
    )  # otherwise the order of RoIs is not tested
    roi_bytes = 128 * 49 * 4
    sizes: list[int] = []
    head = small_model.head
    monkeypatch.setattr(model_module, "BLOCK_BYTES", 40 * roi_bytes)
    small_model.head = lambda pooled: (sizes.append(len(pooled)), head(pooled))[1]  # type: ignore
    with torch.no_grad():
        blocked = small_model(images, ROIS[:rois])
    assert sum(sizes) == rois
    assert max(sizes) <= 40
    assert len(sizes) == (4 if rois == 150 else 1)
    assert torch.allclose(whole.logits, blocked.logits, atol=1e-6)
    assert torch.allclose(whole.offsets, blocked.offsets, atol=1e-6)


def test_prepared_model_has_the_same_outputs(small_model: FastRCNN, images: torch.Tensor) -> None:
    prepared = prepare_model(small_model)
    with torch.inference_mode():
        before, after = small_model(images, ROIS), prepared(images, ROIS)
    assert torch.allclose(before.logits, after.logits, atol=1e-5)
    assert torch.allclose(before.offsets, after.offsets, atol=1e-5)
    assert isinstance(prepared.fc6, PackedLinear) == can_pack(small_model.fc6)


def test_the_model_itself_is_not_changed(small_model: FastRCNN) -> None:
    before = {name: value.clone() for name, value in small_model.state_dict().items()}
    prepare_model(small_model, "bfloat16")
    assert isinstance(small_model.fc6, nn.Linear)
    for name, value in small_model.state_dict().items():
        assert value.dtype == torch.float32
        assert torch.equal(value, before[name])
    assert any(parameter.requires_grad for parameter in small_model.parameters())


def test_unchanged_weights_are_shared(small_model: FastRCNN) -> None:
    prepared = prepare_model(small_model)
    assert prepared.box.weight.data_ptr() == small_model.box.weight.data_ptr()


def test_bfloat16_is_near_and_its_outputs_are_float32(
    small_model: FastRCNN, images: torch.Tensor
) -> None:
    prepared = prepare_model(small_model, "bfloat16")
    dtypes = []
    prepared.fc7.register_forward_hook(lambda layer, inputs, output: dtypes.append(output.dtype))
    with torch.inference_mode():
        before, after = small_model(images, ROIS), prepared(images, ROIS)
    assert dtypes == [torch.bfloat16]
    assert after.logits.dtype == after.offsets.dtype == torch.float32
    assert not torch.equal(before.logits, after.logits)
    # Each of about 50 layers rounds to 2^-9; random errors add up to sqrt(50) / 512, or 1.4%.
    difference = (before.logits - after.logits).abs() / before.logits.abs().max()
    assert difference.square().mean().sqrt() < 0.03
    assert difference.max() < 0.06


def test_compressed_layers_are_packed_too(small_model: FastRCNN, images: torch.Tensor) -> None:
    thin = FastRCNN(with_ranks(small_model.architecture, {"fc6": 8})).eval()
    with torch.inference_mode():
        before, after = thin(images, ROIS), prepare_model(thin)(images, ROIS)
    assert torch.allclose(before.logits, after.logits, atol=1e-5)


@pytest.mark.parametrize("size", [(1, 1), (2, 7), (13, 6), (38, 63)])
@pytest.mark.parametrize("bias", [True, False])
def test_winograd_convolves(size: tuple[int, int], bias: bool) -> None:
    layer = nn.Conv2d(64, 128, 3, padding=1, bias=bias)
    if not can_transform(layer):
        pytest.skip("this torch has no NNPACK")
    x = torch.randn(1, 64, *size, generator=torch.Generator().manual_seed(0))
    x = x.to(memory_format=torch.channels_last)
    with torch.inference_mode():
        expected = layer.double()(x.double())
        found = WinogradConv(layer.float())(x)
    assert (found - expected).abs().max() < 1e-4 * expected.abs().max()


@pytest.mark.parametrize(
    "layer",
    [
        nn.Conv2d(64, 128, 3),
        nn.Conv2d(64, 128, 3, padding=1, stride=2),
        nn.Conv2d(64, 128, 3, padding=2, dilation=2),
        nn.Conv2d(64, 128, 3, padding=1, groups=2),
        nn.Conv2d(64, 128, 3, padding=1, padding_mode="reflect"),
        nn.Conv2d(64, 128, 5, padding=2),
        nn.Conv2d(64, 64, 3, padding=1),
        nn.Conv2d(64, 128, 3, padding=1).double(),
    ],
)
def test_other_convolutions_are_not_replaced(layer: nn.Conv2d) -> None:
    assert not can_transform(layer)


@pytest.mark.parametrize("size", [(1, 1), (2, 2), (5, 8), (8, 5), (7, 9)])
@pytest.mark.parametrize("ceil", [True, False])
def test_halving_pool_equals_max_pooling(size: tuple[int, int], ceil: bool) -> None:
    layer = nn.MaxPool2d(2, 2, ceil_mode=ceil)
    x = torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(0))
    if min(size) > 1 or ceil:
        assert can_halve(layer)
        original = x.clone()
        for layout in (torch.contiguous_format, torch.channels_last):
            assert torch.equal(HalvingPool(layer)(x.to(memory_format=layout)), layer(x))
        assert torch.equal(x, original)


@pytest.mark.parametrize(
    "layer", [nn.MaxPool2d(3, 2), nn.MaxPool2d(2, 1), nn.MaxPool2d(2, 2, padding=1)]
)
def test_other_pooling_is_not_replaced(layer: nn.MaxPool2d) -> None:
    assert not can_halve(layer)
