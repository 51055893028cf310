"""The paper's networks, compared with sizes computed by hand and with Caffe's layers in NumPy."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torchvision
from literal_caffe import Map, convolution, max_pool, normalise_across_channels, relu
from torch import Tensor, nn

from frcnn_cli.engine.network.backbones.caffe import ceil_pool
from frcnn_cli.engine.network.backbones.defaults import CAFFE_PIXELS, DEFAULTS
from frcnn_cli.engine.network.backbones.find import _names_in_source, find_backbone
from frcnn_cli.engine.network.backbones.torchvision_networks import network_names
from frcnn_proposals.errors import MisuseError


def sizes(name: str, height: int, width: int) -> dict[str, tuple[int, ...]]:
    """Channels, height and width after every layer of a sequence, computed on shapes only."""
    found = {}
    with torch.device("meta"):
        features = find_backbone(name).build()
        x = torch.empty(1, 3, height, width)
        for layer, module in features.named_children():
            x = module(x)
            found[layer] = tuple(x.shape[1:])
    return found


def test_vgg16_rounds_up_as_in_caffe() -> None:
    found = sizes("vgg16", 600, 1000)
    assert found["pool1"] == (64, 300, 500)
    assert found["pool2"] == (128, 150, 250)
    assert found["pool3"] == (256, 75, 125)
    assert found["pool4"] == (512, 38, 63)  # 37.5 and 62.5, rounded up
    assert found["relu5_3"] == (512, 38, 63)


def test_caffenet_sizes_by_hand() -> None:
    found = sizes("caffenet", 600, 1000)
    assert found["conv1"] == (96, 150, 250)  # (600 + 10 - 11) / 4 + 1
    assert found["pool1"] == (96, 76, 126)  # (150 + 2 - 3) / 2 + 1 = 75.5
    assert found["conv2"] == (256, 76, 126)
    assert found["pool2"] == (256, 39, 64)  # 38.5 and 63.5
    assert found["conv3"] == (384, 39, 64)
    assert found["relu5"] == (256, 39, 64)
    assert list(found)[:8] == [
        "conv1", "relu1", "pool1", "norm1", "conv2", "relu2", "pool2", "norm2",
    ]  # fmt: skip


def test_vgg_cnn_m_1024_sizes_by_hand() -> None:
    found = sizes("vgg_cnn_m_1024", 600, 1000)
    assert found["conv1"] == (96, 297, 497)  # (600 - 7) / 2 + 1, rounded down
    assert found["pool1"] == (96, 148, 248)
    assert found["conv2"] == (256, 73, 123)  # (148 + 2 - 5) / 2 + 1
    assert found["pool2"] == (256, 36, 61)
    assert found["relu5"] == (512, 36, 61)
    assert list(found)[:8] == [
        "conv1", "relu1", "norm1", "pool1", "conv2", "relu2", "norm2", "pool2",
    ]  # fmt: skip


def test_ceil_pooling_by_hand() -> None:
    row = torch.tensor([[[[3.0, 1.0, 4.0, 1.0, 5.0]]]])
    assert ceil_pool(2)(row.expand(1, 1, 2, 5)).tolist() == [[[[3.0, 4.0, 5.0]]]]
    column = torch.tensor([9.0, 2.0, 6.0, 5.0]).reshape(1, 1, 4, 1)
    # Rows -1..1, 1..3, and 3..5, of which the image has 3.
    assert ceil_pool(3, padding=1)(column.expand(1, 1, 4, 1)).flatten().tolist() == [9.0, 6.0, 5.0]


@pytest.mark.parametrize(
    ("name", "alpha", "k"), [("caffenet", 1e-4, 1), ("vgg_cnn_m_1024", 5e-4, 2)]
)
def test_normalisation_across_channels_by_hand(name: str, alpha: float, k: float) -> None:
    features = find_backbone(name).build()
    x = torch.zeros(1, 7, 1, 1)
    x[0, :, 0, 0] = torch.tensor([100.0, 0, 50, 0, 0, 0, 200])
    y = features.norm1(x).flatten()
    # Channels 0..2 are within two of channel 0; 0..4 of channel 2; 4..6 of channel 6.
    assert y[0].item() == pytest.approx(100 / (k + alpha / 5 * (100**2 + 50**2)) ** 0.75)
    assert y[2].item() == pytest.approx(50 / (k + alpha / 5 * (100**2 + 50**2)) ** 0.75)
    assert y[6].item() == pytest.approx(200 / (k + alpha / 5 * 200**2) ** 0.75)


def caffenet(x: Map, at: Callable[[str], tuple[Map, Map]]) -> Map:
    def norm(y: Map) -> Map:
        return normalise_across_channels(y, 5, 1e-4, 0.75, 1)

    x = norm(max_pool(relu(convolution(x, *at("conv1"), stride=4, padding=5)), 3, padding=1))
    x = norm(max_pool(relu(convolution(x, *at("conv2"), padding=2, groups=2)), 3, padding=1))
    x = relu(convolution(x, *at("conv3"), padding=1))
    x = relu(convolution(x, *at("conv4"), padding=1, groups=2))
    return relu(convolution(x, *at("conv5"), padding=1, groups=2))


def vgg_cnn_m_1024(x: Map, at: Callable[[str], tuple[Map, Map]]) -> Map:
    def norm(y: Map) -> Map:
        return normalise_across_channels(y, 5, 5e-4, 0.75, 2)

    x = max_pool(norm(relu(convolution(x, *at("conv1"), stride=2))), 3)
    x = max_pool(norm(relu(convolution(x, *at("conv2"), stride=2, padding=1))), 3)
    for layer in ("conv3", "conv4", "conv5"):
        x = relu(convolution(x, *at(layer), padding=1))
    return x


@pytest.mark.parametrize("literal", [caffenet, vgg_cnn_m_1024])
def test_features_equal_those_of_caffes_layers_in_numpy(
    literal: Callable[[Map, Callable[[str], tuple[Map, Map]]], Map],
) -> None:
    torch.manual_seed(0)
    features = find_backbone(literal.__name__).build()
    image = torch.randn(1, 3, 37, 50) * 60

    def at(name: str) -> tuple[Map, Map]:
        layer = features.get_submodule(name)
        return layer.weight.detach().double().numpy(), layer.bias.detach().double().numpy()

    expected = literal(image[0].double().numpy(), at)
    with torch.inference_mode():
        found = features(image)[0].numpy()
    assert found.shape == expected.shape
    assert np.abs(expected).max() > 1
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


def test_each_group_reads_its_half_of_the_channels() -> None:
    conv2 = find_backbone("caffenet").build().conv2
    assert conv2.weight.shape == (256, 48, 5, 5)
    x = torch.randn(1, 96, 5, 5)
    changed = x.clone()
    changed[:, 48:] += 1
    before, after = conv2(x), conv2(changed)
    assert torch.equal(before[:, :128], after[:, :128])
    assert not torch.equal(before[:, 128:], after[:, 128:])


def test_pooled_sizes_fully_connected_layers_and_pixels_are_those_of_the_paper() -> None:
    backbones = {name: find_backbone(name) for name in DEFAULTS}
    found = {name: (b.channels, b.pooled, b.hidden) for name, b in backbones.items()}
    assert found["caffenet"] == (256, (6, 6), (4096, 4096))
    assert found["vgg_cnn_m_1024"] == (512, (6, 6), (4096, 1024))
    assert found["vgg16"] == (512, (7, 7), (4096, 4096))
    assert CAFFE_PIXELS.channels == "bgr"
    assert CAFFE_PIXELS.mean == (102.9801, 115.9465, 122.7717)
    for name in ("caffenet", "vgg_cnn_m_1024"):
        assert backbones[name].preprocessing == CAFFE_PIXELS
        assert (CAFFE_PIXELS.scale, CAFFE_PIXELS.max_size) == (600, 1000)


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("vgg16", {"conv1_1", "conv1_2", "conv2_1", "conv2_2"}),
        ("caffenet", {"conv1"}),
        ("vgg_cnn_m_1024", {"conv1"}),
    ],
)
def test_the_first_layers_are_frozen_as_in_the_paper(name: str, layers: set[str]) -> None:
    backbone = find_backbone(name)
    with torch.device("meta"):
        parameters = dict(backbone.build().named_parameters())
    frozen = {name for name in parameters if name.startswith(backbone.frozen)}
    assert frozen == {f"{layer}.{part}" for layer in layers for part in ("weight", "bias")}


def named_tensors(layers: nn.Module, prefix: str = "features.") -> dict[str, Tensor]:
    return {f"{prefix}{name}": value for name, value in layers.state_dict().items()}


def test_vgg16_reads_torchvisions_weights() -> None:
    theirs = torchvision.models.vgg.make_layers(torchvision.models.vgg.cfgs["D"])
    head = {f"classifier.{n}.{part}": torch.zeros(1) for n in (0, 3) for part in ("weight", "bias")}
    read = find_backbone("vgg16").read(named_tensors(theirs) | head)
    ours = find_backbone("vgg16").build()
    ours.load_state_dict(read.features)
    assert set(read.head) == {"fc6.weight", "fc6.bias", "fc7.weight", "fc7.bias"}
    assert read.preprocessing.channels == "rgb"
    image = torch.randn(1, 3, 48, 64)  # multiples of 16, where both round equally
    with torch.inference_mode():
        assert torch.equal(ours(image), theirs[:-1](image))


@pytest.mark.parametrize("name", ["vgg16", "caffenet", "vgg_cnn_m_1024"])
def test_weights_with_caffes_names_set_caffes_pixels(name: str) -> None:
    backbone = find_backbone(name)
    state = backbone.build().state_dict()
    read = backbone.read({**state, "fc6.weight": torch.ones(2), "fc8.weight": torch.ones(1)})
    assert read.features.keys() == state.keys()
    assert read.head.keys() == {"fc6.weight"}
    assert read.preprocessing == CAFFE_PIXELS


@pytest.mark.parametrize("name", sorted(DEFAULTS))
def test_every_map_has_its_documented_stride_and_channels(name: str) -> None:
    backbone = find_backbone(name)
    with torch.device("meta"):
        shape = backbone.build()(torch.empty(1, 3, 320, 480)).shape
    assert shape[1] == backbone.channels
    assert abs(shape[2] - 320 // backbone.stride) <= 2
    assert abs(shape[3] - 480 // backbone.stride) <= 2


@pytest.mark.parametrize(
    ("given", "closest"),
    [
        ("vgg", "vgg16"),
        ("cafenet", "caffenet"),
        ("vgg_cnn_m", "vgg_cnn_m_1024"),
        ("resnet50", "torchvision:resnet50"),
        ("torchvision:resnt50", "torchvision:resnet50"),
    ],
)
def test_the_error_for_an_unknown_backbone_suggests_the_closest(given: str, closest: str) -> None:
    with pytest.raises(MisuseError, match=f"Did you mean '{closest}'"):
        find_backbone(given)


def test_without_a_close_match_the_error_lists_the_backbones() -> None:
    with pytest.raises(MisuseError, match=r"caffenet.*\n.*torchvision:resnet50"):
        find_backbone("zzz")


def test_names_read_from_torchvisions_source_are_those_that_it_lists() -> None:
    assert sorted(_names_in_source()) == sorted(network_names())
