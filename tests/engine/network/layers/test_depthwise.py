"""Depthwise convolutions: values and gradients equal torch's up to rounding."""

import pytest
import torch
import torch.nn.functional as F

from frcnn_cli.engine.network.layers.depthwise import DepthwiseConv2d


@pytest.mark.parametrize(("height", "width"), [(1, 1), (5, 4), (9, 12)])
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("kernel", [3, 5])
def test_values_and_gradients_equal_torch_in_float64(
    kernel: int, stride: int, height: int, width: int
) -> None:
    """torch uses another implementation for float64."""
    torch.manual_seed(height + kernel)
    layer = DepthwiseConv2d(6, kernel, stride)
    x = torch.randn(2, 6, height, width).to(memory_format=torch.channels_last).requires_grad_()
    exact = [t.detach().double().requires_grad_() for t in (x, layer.weight, layer.bias)]
    result = layer(x)
    expected = F.conv2d(*exact, stride, kernel // 2, groups=6)
    gradient = torch.randn_like(result)
    ours = torch.autograd.grad(result, (x, layer.weight, layer.bias), gradient)
    theirs = torch.autograd.grad(expected, exact, gradient.double())
    assert torch.allclose(result.double(), expected, atol=1e-5)
    for own, other in zip(ours, theirs, strict=True):
        assert torch.allclose(own.double(), other, atol=1e-4)


def test_in_bfloat16_the_weight_gradient_is_close_to_that_of_float32() -> None:
    torch.manual_seed(0)
    layer = DepthwiseConv2d(8, 5, 2)
    x = torch.randn(2, 8, 11, 9, requires_grad=True)
    with torch.autocast("cpu", torch.bfloat16):
        layer(x).sum().backward()
    rough = layer.weight.grad.clone()
    layer.weight.grad = None
    layer(x).sum().backward()
    assert torch.allclose(rough, layer.weight.grad, rtol=0.02, atol=0.3)


def test_a_frozen_layer_passes_gradients_on() -> None:
    layer = DepthwiseConv2d(4, 5, 1).requires_grad_(False)
    x = torch.randn(1, 4, 6, 6, requires_grad=True)
    layer(x).sum().backward()
    assert x.grad is not None
    assert layer.weight.grad is None
