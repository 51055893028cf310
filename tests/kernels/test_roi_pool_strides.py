"""RoI pooling of features in every memory layout that torch allows, on any number of threads."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from roi_pool_samples import DTYPES
from torch import Tensor

from frcnn_kernels import roi_pool
from frcnn_kernels.reference import roi_pool_backward_reference, roi_pool_reference

SHAPE = (2, 64, 5, 6)
GRID = (3, 2)
SCALE = 1 / 16
# Up to 8 RoIs per image and thread are pooled without packing the features first.
ROI_COUNTS = (1, 8, 9, 40)
MEMORY = 20_000


def rois(count: int) -> Tensor:
    generator = torch.Generator().manual_seed(count)
    corners = torch.rand(count, 2, generator=generator) * 80
    sizes = torch.rand(count, 2, generator=generator) * 60
    images = torch.arange(count).remainder(2).unsqueeze(1)
    return torch.cat([images, corners, corners + sizes], dim=1)


def memory(dtype: torch.dtype) -> Tensor:
    """Storage of the layouts below: small integers, which are exact in every type."""
    values = torch.randint(-100, 100, (MEMORY,), generator=torch.Generator().manual_seed(0))
    return values.to(dtype)


def named_layouts(storage: Tensor) -> dict[str, Tensor]:
    """Views of shape SHAPE, as user code creates them."""
    images, channels, height, width = SHAPE
    whole = storage[: torch.Size(SHAPE).numel()].reshape(SHAPE)
    last = whole.contiguous(memory_format=torch.channels_last)
    wide = storage[: 2 * 70 * 10 * 12].reshape(2, 10, 12, 70).permute(0, 3, 1, 2)
    reversed_axes = storage[: whole.numel()].reshape(SHAPE[::-1]).permute(3, 2, 1, 0)
    return {
        "contiguous": whole,
        "channels last": last,
        "mean over the map, expanded": last.mean((2, 3), keepdim=True).expand_as(last),
        "expanded width": last[:, :, :, :1].expand_as(last),
        "expanded height": last[:, :, :1].expand_as(last),
        "expanded channels": last[:, :1].expand_as(last),
        "expanded batch": last[:1].expand_as(last),
        "one number": storage[5].expand(SHAPE),
        "flipped": last.flip((2, 3)),
        "sliced": wide[:, 3:67, 1:6, 2:8],
        "every second cell": wide[:, :64, ::2, ::2],
        "every second channel": storage[: 2 * 30 * 128]
        .reshape(2, 5, 6, 128)[..., ::2]
        .permute(0, 3, 1, 2),
        "rows and columns exchanged": storage[: whole.numel()]
        .reshape(images, width, height, channels)
        .permute(0, 3, 2, 1),
        "all axes reversed": reversed_axes,
        "overlapping cells": storage.as_strided(SHAPE, (4000, 1, 64, 3), 17),
    }


def drawn_layouts(storage: Tensor, count: int) -> Iterator[tuple[str, Tensor]]:
    """Views with random strides; 0, 1 and 64 are frequent."""
    generator = torch.Generator().manual_seed(1)
    for _ in range(count):
        draws = torch.randint(0, 4, (4,), generator=generator).tolist()
        others = torch.randint(2, 90, (4,), generator=generator).tolist()
        strides = [(0, 1, 64, other)[draw] for draw, other in zip(draws, others, strict=True)]
        offset = int(torch.randint(0, 50, (1,), generator=generator))
        yield f"strides {strides}", storage.as_strided(SHAPE, strides, offset)


@contextmanager
def threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@pytest.fixture
def cases(request: pytest.FixtureRequest, device: str) -> list[tuple[int, tuple[int, ...]]]:
    """Numbers of RoIs and of threads. Only the CPU operators treat them in different ways."""
    if request.node.callspec.params["device"] == "cpu":
        return [(count, (1, 2, 3)) for count in ROI_COUNTS]
    return [(9, (1,))]


def assert_layout_does_not_matter(
    name: str, features: Tensor, device: str, cases: list[tuple[int, tuple[int, ...]]]
) -> None:
    for count, thread_counts in cases:
        boxes = rois(count)
        expected, cells = roi_pool_reference(features.cpu(), boxes, GRID, SCALE)
        weights = torch.randint(-9, 9, expected.shape, generator=torch.Generator().manual_seed(2))
        weights = weights.to(features.dtype)
        gradient = roi_pool_backward_reference(weights, boxes, cells, SHAPE)
        boxes, weights = boxes.to(device), weights.to(device)
        for thread_count in thread_counts:
            case = f"{name}, {count} RoIs, {thread_count} threads"
            with threads(thread_count):
                leaf = features.detach().requires_grad_()
                assert leaf.stride() == features.stride()
                pooled = roi_pool(leaf, boxes, GRID, SCALE)
                pooled.backward(weights)
                inferred = roi_pool(features, boxes, GRID, SCALE)
            assert torch.equal(pooled.cpu(), expected), case
            assert torch.equal(inferred.cpu(), expected), case
            assert leaf.grad is not None
            assert torch.equal(leaf.grad.cpu(), gradient), case


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("name", list(named_layouts(memory(torch.float32))))
def test_layouts_of_user_code(
    name: str, dtype: torch.dtype, device: str, cases: list[tuple[int, tuple[int, ...]]]
) -> None:
    features = named_layouts(memory(dtype).to(device))[name]
    assert_layout_does_not_matter(name, features, device, cases)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_layouts_drawn_at_random(
    dtype: torch.dtype, device: str, cases: list[tuple[int, tuple[int, ...]]]
) -> None:
    for name, features in drawn_layouts(memory(dtype).to(device), 15):
        assert_layout_does_not_matter(name, features, device, cases)


@pytest.mark.parametrize("column_stride", [0, 1, 64])
def test_maps_of_one_column(column_stride: int, device: str) -> None:
    storage = memory(torch.float32).to(device)
    features = storage.as_strided((1, 64, 6, 1), (0, 1, 64, column_stride))
    boxes = torch.tensor([[0, 0, 0, 0, 80.0], [0, 0, 20, 0, 60]])
    expected, _ = roi_pool_reference(features.cpu(), boxes, GRID, SCALE)
    assert torch.equal(roi_pool(features, boxes.to(device), GRID, SCALE).cpu(), expected)
