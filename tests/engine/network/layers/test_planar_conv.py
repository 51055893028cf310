"""Convolutions that train with channels first compute the same as nn.Conv2d."""

import torch
from torch import nn

from frcnn_cli.engine.network.backbones.vgg16 import PlanarConv2d


def test_values_and_gradients_equal_those_of_a_plain_convolution() -> None:
    torch.manual_seed(0)
    planar, plain = PlanarConv2d(8, 6, 3, padding=1), nn.Conv2d(8, 6, 3, padding=1)
    plain.load_state_dict(planar.state_dict())
    planar = planar.to(memory_format=torch.channels_last)
    x = torch.randn(2, 8, 9, 7).to(memory_format=torch.channels_last).requires_grad_()
    found, expected = planar(x), plain(x)
    assert found.is_contiguous()
    assert torch.allclose(found, expected, atol=1e-5)
    gradient = torch.randn_like(expected)
    ours = torch.autograd.grad(found, (x, *planar.parameters()), gradient)
    theirs = torch.autograd.grad(expected, (x, *plain.parameters()), gradient)
    assert all(torch.allclose(a, b, atol=1e-4) for a, b in zip(ours, theirs, strict=True))


def test_without_gradients_the_layout_does_not_change() -> None:
    layer = PlanarConv2d(8, 6, 3).to(memory_format=torch.channels_last)
    x = torch.randn(1, 8, 9, 7).to(memory_format=torch.channels_last)
    with torch.no_grad():
        assert layer(x).is_contiguous(memory_format=torch.channels_last)
