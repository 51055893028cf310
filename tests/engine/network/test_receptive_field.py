"""Receptive fields, compared with published sizes and with the gradients of real layers."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from frcnn_cli.engine.network import receptive_field
from frcnn_cli.engine.network.backbones.caffe import LocalResponseNorm
from frcnn_cli.engine.network.backbones.find import find_backbone
from frcnn_cli.engine.network.layers.relu6 import InPlaceReLU6
from frcnn_cli.engine.network.receptive_field import ReceptiveFields, Window

ACTIVATIONS = (nn.ReLU, InPlaceReLU6, nn.Hardswish, nn.Hardsigmoid, LocalResponseNorm)
NETWORKS = (
    *("efficientnet_lite0", "vgg16", "caffenet", "vgg_cnn_m_1024", "alexnet"),
    *("torchvision:resnet18", "torchvision:inception_v3", "torchvision:shufflenet_v2_x0_5"),
)


def one_cell(row: int, column: int) -> Window:
    return Window(range(row, row + 1), range(column, column + 1))


@pytest.mark.parametrize("backbone", ["caffenet", "alexnet"])
def test_one_cell_sees_as_many_pixels_as_published(backbone: str) -> None:
    """R-CNN (section 3.1): 195 x 195 pixels for pool5, which takes 3 x 3 cells of conv5."""
    pixels = ReceptiveFields(backbone, (600, 1000)).of(one_cell(18, 30)).pixels
    assert (len(pixels.rows), len(pixels.columns)) == (195 - 2 * 16, 195 - 2 * 16)


def test_vgg16_by_hand() -> None:
    """Two cells of conv5_3, backward: three 3 x 3 layers add 6 cells, pooling doubles them."""
    field = ReceptiveFields("vgg16", (600, 1000)).of(Window(range(18, 20), range(30, 31)))
    heights = {step.layer: len(step.window.rows) for step in field.steps}
    of_pool4 = 2 + 6
    of_pool3 = 2 * of_pool4 + 6
    of_pool2 = 2 * of_pool3 + 6
    of_pool1 = 2 * of_pool2 + 4
    of_image = 2 * of_pool1 + 4
    assert [step.layer for step in field.steps][:4] == ["conv5_3", "conv5_2", "conv5_1", "pool4"]
    assert heights["conv5_1"] == of_pool4
    assert heights["conv4_1"] == of_pool3
    assert heights["conv3_1"] == of_pool2
    assert heights["conv2_1"] == of_pool1
    assert heights["conv1_1"] == of_image
    assert field.steps[-1].size == (600, 1000)
    assert field.steps[-1].window == field.pixels
    # Cell 18 starts at pixel 288. Each 3 x 3 layer uses one cell more above it.
    assert field.pixels.rows.start == 288 - (2 + 2 * 2 + 4 * 3 + 8 * 3 + 16 * 3)


def test_the_field_ends_at_the_image() -> None:
    fields = ReceptiveFields("vgg16", (96, 64))
    assert fields.map_size == (6, 4)
    assert fields.of(Window(range(6), range(4))).pixels == Window(range(96), range(64))


@pytest.mark.parametrize("backbone", NETWORKS)
def test_it_is_where_the_gradient_of_linear_layers_is_not_zero(backbone: str) -> None:
    """With positive weights and without activations, no gradient vanishes or cancels out."""
    size = (229, 325)
    features = linear(find_backbone(backbone).build())
    image = torch.rand(1, 3, *size, dtype=torch.float64, requires_grad=True)
    feature_map = features(image)
    fields = ReceptiveFields(backbone, size)
    height, width = fields.map_size
    assert feature_map.shape[2:] == (height, width)
    for window in (
        one_cell(0, width // 3),
        one_cell(height // 2, width // 2),
        Window(range(height - 3, height), range(width - 2, width)),
    ):
        rows, columns = window
        cells = feature_map[..., rows.start : rows.stop, columns.start : columns.stop]
        (gradient,) = torch.autograd.grad(cells.sum(), image, retain_graph=True)
        influence = gradient.abs().sum((0, 1))
        assert fields.of(window).pixels == Window(
            extent(influence.sum(1)), extent(influence.sum(0))
        )


POOLING: dict[str, Callable[[Tensor], Tensor]] = {
    "max, kernel": lambda x: F.max_pool2d(x, 3),
    "max, stride": lambda x: F.max_pool2d(x, 3, 2, 1),
    "max, all": lambda x: F.max_pool2d(x, 3, 2, 0, 2),
    "max, dilation": lambda x: F.max_pool2d(x, kernel_size=(2, 3), dilation=2),
    "average, kernel": lambda x: F.avg_pool2d(x, 3),
    "average, rounded down": lambda x: F.avg_pool2d(x, 3, 2, 1, False),
    "average, rounded up": lambda x: F.avg_pool2d(x, 3, 2, 1, True),
}


@pytest.mark.parametrize("name", POOLING)
def test_functions_for_pooling_have_their_own_defaults(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The gradient of a pixel in an image that is 0 elsewhere: no other pixel is the maximum."""

    class Pooling(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return POOLING[name](x)

    height, width = size = (12, 15)
    monkeypatch.setattr(receptive_field, "find_backbone", lambda _: SimpleNamespace(build=Pooling))
    fields = ReceptiveFields("pooling", size)
    images = torch.eye(height * width).view(-1, 1, height, width).requires_grad_()
    pooled = POOLING[name](images)
    assert pooled.shape[2:] == fields.map_size
    for row, column in product(*map(range, fields.map_size)):
        cells = pooled[..., row, column].sum()
        (gradient,) = torch.autograd.grad(cells, images, retain_graph=True)
        influence = gradient.flatten(1).diagonal().view(size)
        expected = Window(extent(influence.sum(1)), extent(influence.sum(0)))
        assert fields.of(one_cell(row, column)).pixels == expected


def test_with_averages_over_a_map_every_pixel_is_used() -> None:
    field = ReceptiveFields("torchvision:mobilenet_v3_large", (320, 480)).of(one_cell(3, 4))
    assert field.pixels == Window(range(320), range(480))
    assert (1, 1) not in {step.size for step in field.steps}


def test_fields_need_no_weights_and_leave_the_random_numbers() -> None:
    before = torch.get_rng_state()
    ReceptiveFields("efficientnet_lite0", (400, 600))
    assert torch.equal(torch.get_rng_state(), before)


def extent(values: Tensor) -> range:
    found = torch.nonzero(values).squeeze(1)
    return range(int(found[0]), int(found[-1]) + 1)


def linear(features: nn.Module) -> nn.Module:
    """The same layers with positive weights, averages for maxima, and no activations."""
    for name, layer in list(features.named_modules()):
        if isinstance(layer, ACTIVATIONS):
            features.set_submodule(name, nn.Identity())
        elif isinstance(layer, nn.MaxPool2d):
            features.set_submodule(name, Average(layer))
        elif isinstance(layer, nn.Conv2d):
            nn.init.constant_(layer.weight, 1 / layer.weight[0].numel())
    return features.double().eval()


class Average(nn.Module):
    """Average pooling in the windows of a layer of maximum pooling."""

    def __init__(self, layer: nn.MaxPool2d) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Tensor:
        layer = self.layer
        return F.avg_pool2d(x, layer.kernel_size, layer.stride, layer.padding, layer.ceil_mode)
