"""Our ReLU6, compared with torch's."""

import pytest
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile

from frcnn_cli.engine.network.layers.relu6 import InPlaceReLU6

EDGES = [0.0, -0.0, 6.0, 5.999999, 6.000001, 1e-45, float("inf"), -float("inf")]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_values_and_gradients_equal_those_of_torch(
    dtype: torch.dtype, layout: torch.memory_format
) -> None:
    generator = torch.Generator().manual_seed(0)
    x = 5 * torch.randn(2, 8, 9, 7, generator=generator)
    x[0, 0, 0, : len(EDGES) - 1] = torch.tensor(EDGES[:-1])
    x[0, 1, 0, 0] = EDGES[-1]
    x = x.to(dtype).to(memory_format=layout)
    gradient = torch.randn(x.shape, generator=generator).to(dtype)
    found = []
    for layer in (nn.ReLU6(inplace=True), InPlaceReLU6()):
        leaf = x.clone().requires_grad_()
        y = layer(leaf * 1)
        y.backward(gradient)
        found.append((y.detach(), leaf.grad))
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])


def test_the_map_is_changed_in_place_and_not_copied() -> None:
    x = torch.randn(1, 4, 5, 5, requires_grad=True) * 9
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        y = InPlaceReLU6()(x)
    assert y.data_ptr() == x.data_ptr()
    names = {event.key for event in profiled.key_averages()}
    assert "aten::clamp_" in names
    assert not names & {"aten::clone", "aten::copy_"}


def test_a_second_derivative_is_an_error() -> None:
    x = torch.ones(3, requires_grad=True)
    (first,) = torch.autograd.grad(InPlaceReLU6()(x * 1).sum(), x, create_graph=True)
    with pytest.raises(RuntimeError):
        first.sum().backward()
