"""RoI pooling from basic operators is bit-identical to the reference."""

from __future__ import annotations

import pytest
import torch

from frcnn_cli.engine.exchange.plain_roi_pool import plain_roi_pool
from frcnn_kernels.reference import roi_pool_reference


@pytest.mark.parametrize("size", [(1, 1), (5, 7), (38, 63), (20, 3)])
@pytest.mark.parametrize("bins", [(7, 7), (6, 2)])
def test_equal_to_the_reference(size: tuple[int, int], bins: tuple[int, int]) -> None:
    draw = torch.Generator().manual_seed(0)
    height, width = size
    features = torch.randn(1, 3, height, width, generator=draw)
    spread = torch.tensor([width, height, width, height]) * 16.0
    corners = (torch.rand(120, 4, generator=draw) * 1.6 - 0.3) * spread
    corners[:40] = (corners[:40] / 8).round() * 8  # halves after scaling
    corners[20:] = torch.cat(
        (
            torch.minimum(corners[20:, :2], corners[20:, 2:]),
            torch.maximum(corners[20:, :2], corners[20:, 2:]),
        ),
        dim=1,
    )
    # Just below a half, where adding a half would round up.
    corners[0] = torch.tensor([7.9999995, 7.9999995, 23.999998, 40.0])
    rois = torch.cat((torch.zeros(120, 1), corners), dim=1)
    expected, argmax = roi_pool_reference(features, rois, bins, 1 / 16)
    found = plain_roi_pool(features, rois, bins, 1 / 16, longest=max(size))
    assert torch.equal(found, expected)
    assert (argmax < 0).any()
    assert (argmax >= 0).any()
