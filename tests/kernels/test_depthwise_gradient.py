"""The weight gradient of 5 x 5 depthwise convolutions compared with its definition in float64."""

import pytest
import torch

from frcnn_kernels import depthwise_weight_gradient
from frcnn_kernels.reference import depthwise_weight_gradient_reference


@pytest.mark.parametrize("layout", [torch.channels_last, torch.contiguous_format])
@pytest.mark.parametrize(
    ("shape", "stride"),
    [
        ((2, 32, 9, 7), 1),
        ((1, 16, 8, 8), 2),
        ((3, 21, 6, 11), 2),  # channels that do not fill a vector, odd sizes
        ((1, 1, 1, 1), 1),
        ((2, 5, 1, 9), 3),
    ],
)
def test_equals_the_definition(
    shape: tuple[int, ...], stride: int, layout: torch.memory_format
) -> None:
    torch.manual_seed(sum(shape))
    x = torch.randn(shape).contiguous(memory_format=layout)
    out = [(extent - 1) // stride + 1 for extent in shape[2:]]
    gradient = torch.randn(*shape[:2], *out).contiguous(memory_format=layout)
    result = depthwise_weight_gradient(gradient, x, stride)
    assert result.shape == (shape[1], 1, 5, 5)
    expected = depthwise_weight_gradient_reference(gradient, x, stride)
    assert torch.allclose(result.double(), expected, atol=1e-4)


def test_the_number_of_threads_does_not_change_a_bit() -> None:
    torch.manual_seed(0)
    x, gradient = torch.randn(2, 70, 12, 13), torch.randn(2, 70, 12, 13)
    threads = torch.get_num_threads()
    try:
        results = []
        for count in (1, 2, 5):
            torch.set_num_threads(count)
            results.append(depthwise_weight_gradient(gradient, x, 1))
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(results[0], other) for other in results[1:])


@pytest.mark.parametrize(
    ("gradient", "x", "stride"),
    [
        (torch.zeros(1, 2, 4, 4), torch.zeros(1, 2, 4, 4), 2),
        (torch.zeros(1, 2, 4, 4), torch.zeros(2, 4, 4), 1),
        (torch.zeros(1, 2, 4, 4).double(), torch.zeros(1, 2, 4, 4).double(), 1),
        (torch.zeros(1, 2, 4, 4), torch.zeros(1, 2, 4, 4), 0),
        (torch.zeros(0, 2, 4, 4), torch.zeros(0, 2, 4, 4), 1),
    ],
)
def test_invalid_arguments_raise_a_value_error(
    gradient: torch.Tensor, x: torch.Tensor, stride: int
) -> None:
    with pytest.raises(ValueError, match="must be"):
        depthwise_weight_gradient(gradient, x, stride)


def test_opcheck() -> None:
    arguments = (torch.randn(1, 4, 4, 8), torch.randn(1, 8, 7, 8), 2)
    torch.library.opcheck(torch.ops.frcnn.depthwise_weight_gradient.default, arguments)
