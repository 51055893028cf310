"""RoI pooling of values that compare or round in a special way, by their bits."""

from __future__ import annotations

import pytest
import torch
from roi_pool_samples import (
    DTYPES,
    MIXES,
    bits,
    gradients_of_single_cells,
    mixed_features,
    random_rois,
)

from frcnn_kernels.reference import roi_pool_reference

OPERATORS = torch.ops.frcnn
# Channels fill panels and vectors, or do not; the last map has cells with numbers of 32 bits.
SHAPES = ((2, 70, 9, 13), (2, 128, 6, 40), (1, 33, 160, 240))
GRID = (3, 2)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("mix", MIXES)
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_ties_zeros_and_values_that_are_no_numbers(
    shape: tuple[int, int, int, int], mix: str, dtype: torch.dtype, device: str
) -> None:
    features = mixed_features(mix, shape, dtype)
    rois = random_rois(20, shape)
    expected, cells = roi_pool_reference(features, rois, GRID, 1.0)
    for layout in (torch.contiguous_format, torch.channels_last):
        arranged = features.to(device).contiguous(memory_format=layout)
        for count in (3, len(rois)):
            arguments = (arranged, rois[:count].to(device), *GRID, 1.0)
            pooled, argmax = OPERATORS.roi_pool(*arguments)
            assert torch.equal(argmax.cpu(), cells[:count])
            assert torch.equal(bits(pooled.cpu()), bits(expected[:count]))
            assert torch.equal(bits(OPERATORS.roi_pool_infer(*arguments)), bits(pooled))


def test_the_reference_takes_the_first_of_equal_zeros() -> None:
    features = torch.tensor([[[[-1.0, -0.0, 0.0]]]])
    pooled, argmax = roi_pool_reference(features, torch.tensor([[0.0, 0, 0, 2, 0]]), (1, 1), 1.0)
    assert argmax.item() == 1
    assert torch.equal(bits(pooled), bits(torch.tensor([[[[-0.0]]]])))


@pytest.mark.parametrize("channels_last", [False, True])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
def test_sums_of_every_16_bit_gradient_are_rounded_once(
    dtype: torch.dtype, channels_last: bool, device: str
) -> None:
    gradients, rois, expected = gradients_of_single_cells(dtype)
    argmax = rois[:, 1:3] @ torch.tensor([1.0, 32.0])
    argmax = argmax.to(torch.int16)[:, None, None, None].expand(gradients.shape)
    arguments = (gradients, rois, argmax.contiguous())
    found = OPERATORS.roi_pool_backward(
        *(tensor.to(device) for tensor in arguments), *expected.shape, channels_last
    ).cpu()
    number = ~expected.isnan()
    assert torch.equal(found.isnan(), ~number)
    assert torch.equal(bits(found[number]), bits(expected[number]))
