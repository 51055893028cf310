"""EfficientNet-Lite with all its layers before RoI pooling: its values, its weights."""

from __future__ import annotations

from collections.abc import Mapping
from math import prod

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from frcnn_cli.engine.detection.prepare import prepare_model
from frcnn_cli.engine.models.initial import with_parts
from frcnn_cli.engine.network import model as network_model
from frcnn_cli.engine.network.backbones.efficientnet_lite import packaged_weights
from frcnn_cli.engine.network.backbones.find import find_backbone
from frcnn_cli.engine.network.creation import create_model
from frcnn_cli.engine.network.layers.dropout import ImageRows, RowDropout
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.settings import Schedule
from frcnn_cli.engine.training.optimizer import make_optimizer

# Kernel and stride of the stages of EfficientNet-B0, and how often their block is repeated.
STAGES = ((3, 1, 1), (3, 2, 2), (5, 2, 2), (3, 2, 3), (5, 1, 3), (5, 2, 4), (3, 1, 1))


def published_network(state: Mapping[str, Tensor], images: Tensor) -> Tensor:
    """The mean of the last convolution of EfficientNet-Lite0, from its published state.

    Batch norms are not folded, and blocks are read one after the other.
    """

    def layer(x: Tensor, name: str, norm: str, stride: int = 1, groups: int = 1) -> Tensor:
        weight = state[f"{name}.weight"]
        y = F.conv2d(x, weight, None, stride, weight.shape[-1] // 2, 1, groups)
        statistics = (state[f"{norm}.running_mean"], state[f"{norm}.running_var"])
        return F.batch_norm(
            y, *statistics, state[f"{norm}.weight"], state[f"{norm}.bias"], eps=1e-3
        )

    x, block = F.relu6(layer(images, "_conv_stem", "_bn0", stride=2)), 0
    for _, stride, repeats in STAGES:
        for repeat in range(repeats):
            name, y = f"_blocks.{block}", x
            if f"{name}._expand_conv.weight" in state:
                y = F.relu6(layer(y, f"{name}._expand_conv", f"{name}._bn0"))
            depthwise = (f"{name}._depthwise_conv", f"{name}._bn1")
            y = F.relu6(layer(y, *depthwise, stride if repeat == 0 else 1, y.shape[1]))
            y = layer(y, f"{name}._project_conv", f"{name}._bn2")
            x, block = x + y if repeat else y, block + 1
    return F.relu6(layer(x, "_conv_head", "_bn1")).mean(dim=(2, 3))


@pytest.fixture(scope="module")
def model() -> FastRCNN:
    return create_model(find_backbone("efficientnet_lite0_c5"), ("a", "b"), cascade=True).eval()


def test_a_roi_of_the_whole_map_has_the_outputs_of_the_published_network(model: FastRCNN) -> None:
    """The map of an image of 96 x 96 is 3 x 3, as a pooled map; fc6 and fc7 keep the values."""
    images = torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    rois = torch.tensor([[0, 0.0, 0, 64, 64], [1, 0.0, 0, 64, 64]])  # cells 0 to 2
    with torch.inference_mode():
        ours = model.fc7_of(model.pool(model.features(images), rois))
        theirs = published_network(packaged_weights(0), images)
    assert theirs.std() > 0.1
    torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-3)


def test_a_second_head_starts_from_the_first(model: FastRCNN) -> None:
    one = create_model(find_backbone("efficientnet_lite0_c5"), ("a", "b"), "none")
    added = with_parts(one, cascade=True, ranker=False, seed=1)
    assert added.second is not None
    assert torch.equal(added.second.fc6.weight, one.fc6.weight)


def test_layers_with_imagenet_weights_are_frozen_or_learn_slowly(model: FastRCNN) -> None:
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    rates = {
        names[id(parameter)]: group["rate_factor"]
        for group in make_optimizer(model, Schedule()).param_groups
        for parameter in group["params"]
    }
    slow = {name for name, rate in rates.items() if rate < 1}
    parts = {".".join(name.split(".")[:3]) for name in slow}
    assert parts == {"features.stages.5", "features.stages.6", "features.final.weight"} | {
        "features.final.bias"
    }
    frozen = {name for name, value in model.named_parameters() if not value.requires_grad}
    stages = {name.split(".")[2] for name in frozen if name.startswith("features.stages.")}
    assert stages == set("01234")
    assert rates["fc6.weight"] == 1


def test_detection_in_bfloat16_and_blocks_changes_little(
    model: FastRCNN, monkeypatch: pytest.MonkeyPatch
) -> None:
    rois = torch.rand(30, 5, generator=torch.Generator().manual_seed(1)) * 90
    rois[:, 0], rois[:, 3:] = 0, rois[:, 3:] + 60
    images = torch.randn(1, 3, 160, 160, generator=torch.Generator().manual_seed(2))
    with torch.inference_mode():
        expected = model(images, rois).logits
        monkeypatch.setattr(network_model, "BLOCK_BYTES", 7 * 4 * prod(model.pooled_shape))
        torch.testing.assert_close(model(images, rois).logits, expected, rtol=1e-3, atol=1e-4)
        prepared = prepare_model(model, "bfloat16")
        torch.testing.assert_close(prepared(images, rois).logits, expected, rtol=0.1, atol=0.05)


def test_an_image_has_the_same_dropout_alone_and_with_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As in one process with two images, and in two processes with one image each."""
    backbone = find_backbone("efficientnet_lite0_c5")
    model = create_model(backbone, ("a", "b"), "none").train()
    model.weak = None
    monkeypatch.setattr(FastRCNN, "siblings", lambda self, fc7: network_model.HeadOutputs(fc7, fc7))
    monkeypatch.setattr(network_model, "BLOCK_BYTES", 3 * 4 * prod(model.pooled_shape))
    feature_map = torch.rand(2, backbone.channels, 8, 8)
    rois = torch.tensor([[0, 0.0, 0, 90, 90]] * 4 + [[1, 10.0, 0, 100, 100]] * 4)
    both = (ImageRows(4, 5), ImageRows(4, 6))
    together = model._in_blocks(feature_map, rois, RowDropout(both, rois.device)).logits
    alone = model._in_blocks(feature_map, rois[4:], RowDropout(both[1:], rois.device)).logits
    assert torch.equal(together[4:] == 0, alone == 0)
    assert 0.2 < (alone == 0).float().mean() < 1
