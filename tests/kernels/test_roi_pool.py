"""RoI pooling compared with the readable reference, and bit for bit with torchvision."""

from __future__ import annotations

import pytest
import torch
from cuda_emulator import not_emulated
from roi_pool_samples import (
    DTYPES,
    ODD,
    SAMPLES,
    STREAMED_MAPS,
    Sample,
    distinct_values,
    streamed_features,
    streamed_rois,
)

from frcnn_kernels import roi_pool, roi_pool_with_argmax
from frcnn_kernels.reference import roi_pool_backward_reference, roi_pool_reference

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")
each_sample = pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
each_dtype = pytest.mark.parametrize("dtype", DTYPES, ids=str)


@each_dtype
@each_sample
def test_equals_the_reference(sample: Sample, dtype: torch.dtype, device: str) -> None:
    features, rois = sample.features(dtype, device), sample.roi_tensor(device)
    expected, cells = roi_pool_reference(
        features.cpu(), rois.cpu(), sample.output_size, sample.spatial_scale
    )
    pooled, argmax = roi_pool_with_argmax(features, rois, sample.output_size, sample.spatial_scale)
    assert torch.equal(pooled.cpu(), expected)
    assert torch.equal(argmax.cpu(), cells)
    assert torch.equal(roi_pool(features, rois, sample.output_size, sample.spatial_scale), pooled)
    out = torch.full_like(pooled, 7)
    returned = roi_pool(features, rois, sample.output_size, sample.spatial_scale, out=out)
    assert returned is out
    assert torch.equal(out, pooled)


@each_dtype
@each_sample
def test_gradient_goes_to_the_maxima(sample: Sample, dtype: torch.dtype, device: str) -> None:
    features = sample.features(dtype, device).requires_grad_()
    rois = sample.roi_tensor(device)
    pooled = roi_pool(features, rois, sample.output_size, sample.spatial_scale)
    weights = torch.randn(pooled.shape, generator=torch.Generator().manual_seed(1))
    pooled.backward(weights.to(device, dtype))
    _, cells = roi_pool_reference(
        features.detach().cpu(), rois.cpu(), sample.output_size, sample.spatial_scale
    )
    expected = roi_pool_backward_reference(weights.to(dtype), rois.cpu(), cells, sample.shape)
    assert torch.equal(features.grad.cpu(), expected)
    assert features.grad.is_contiguous(
        memory_format=torch.channels_last if sample.channels_last else torch.contiguous_format
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@each_sample
def test_equals_torchvision_to_the_bit(sample: Sample, dtype: torch.dtype, device: str) -> None:
    ops = pytest.importorskip("torchvision.ops")
    if not _has_torchvision_operators():
        pytest.skip("torchvision's operators cannot be loaded with this torch")
    # torchvision's coordinates overflow beyond 2^31 cells, and it rejects empty maps.
    rois = sample.roi_tensor()
    rois = rois[rois.abs().amax(dim=1) < 1e6].to(dtype)
    if 0 in sample.shape:
        pytest.skip("torchvision does not accept an empty map")
    # torchvision runs on the CPU: on a GPU it adds gradients in any order, by atomic operations.
    ours, theirs = (sample.features(dtype, place).requires_grad_() for place in (device, "cpu"))
    pooled = roi_pool(ours, rois.to(device), sample.output_size, sample.spatial_scale)
    expected = ops.roi_pool(theirs, rois, sample.output_size, sample.spatial_scale)
    assert torch.equal(pooled.cpu(), expected)
    weights = torch.randn_like(expected)
    pooled.backward(weights.to(device))
    expected.backward(weights)
    assert torch.equal(ours.grad.cpu(), theirs.grad)


def test_bins_are_rounded_in_float32(device: str) -> None:
    # 7 bins of 57 cells: the last one ends at 57 exactly, but at 58 in float32.
    columns = torch.arange(60.0, device=device).reshape(1, 1, 1, 60)
    rois = torch.tensor([[0, 0, 0, 56.0, 0]], device=device)
    assert roi_pool(columns, rois, (1, 7), 1.0).flatten().tolist() == [8, 16, 24, 32, 40, 48, 57]
    exact = roi_pool(columns.double(), rois.double(), (1, 7), 1.0)
    assert exact.flatten().tolist() == [8, 16, 24, 32, 40, 48, 56]


def test_a_vgg16_map_equals_torchvision_to_the_bit(device: str) -> None:
    ops = pytest.importorskip("torchvision.ops")
    if not _has_torchvision_operators():
        pytest.skip("torchvision's operators cannot be loaded with this torch")
    generator = torch.Generator().manual_seed(3)
    features = torch.randn(2, 96, 38, 63, generator=generator)
    corners = torch.rand(300, 2, generator=generator) * torch.tensor([900.0, 500.0])
    sizes = torch.rand(300, 2, generator=generator) * 500
    images = torch.randint(0, 2, (300, 1), generator=generator)
    rois = torch.cat([images, corners, corners + sizes], dim=1)
    rois[::2] = torch.cat([rois[::2, :1], (rois[::2, 1:] / 8).round() * 8], dim=1)
    pooled = roi_pool(features.to(device), rois.to(device), 7, 1 / 16)
    assert torch.equal(pooled.cpu(), ops.roi_pool(features, rois, 7, 1 / 16))


def test_backward_has_the_same_bits_for_any_number_of_threads() -> None:
    features = torch.randn(2, 70, 7, 10).requires_grad_()
    rois = torch.tensor(ODD * 20, dtype=torch.float32)
    pooled = roi_pool(features, rois, 7, 1 / 16)
    weights = torch.randn_like(pooled)
    threads = torch.get_num_threads()
    gradients = []
    try:
        for count in (1, 2, 3, 8):
            torch.set_num_threads(count)
            gradients += torch.autograd.grad(pooled, features, weights, retain_graph=True)
    finally:
        torch.set_num_threads(threads)
    assert all(torch.equal(gradient, gradients[0]) for gradient in gradients)


def test_any_strides_are_read_in_place(device: str) -> None:
    whole = distinct_values((3, 50, 18, 20)).to(device)
    rois = torch.tensor(ODD, device=device)
    views = (
        whole[1:, 5:45, ::2, 3:13],
        whole.transpose(2, 3)[1:, :40, :7, :10],
        whole[:1, :40, :7, :10].expand(2, 40, 7, 10),
    )
    for view in views:
        expected = roi_pool(view.contiguous(), rois, 7, 1 / 16)
        assert torch.equal(roi_pool(view, rois, 7, 1 / 16), expected)
    channels_last = whole.contiguous(memory_format=torch.channels_last)[1:, 5:45]
    assert torch.equal(
        roi_pool(channels_last, rois, 7, 1 / 16),
        roi_pool(channels_last.contiguous(), rois, 7, 1 / 16),
    )


@pytest.mark.parametrize(("width", "cell_type"), [(256, torch.int16), (257, torch.int32)])
def test_the_argmax_has_16_bits_for_up_to_2_to_15_cells(
    width: int, cell_type: torch.dtype, device: str
) -> None:
    cells = torch.randperm(2 * 128 * width, generator=torch.Generator().manual_seed(0))
    features = cells.float().reshape(1, 2, 128, width)
    last = features.shape[3] - 1, features.shape[2] - 1
    rois = torch.tensor([[0, 0, 0, *last], [0, *last, *last], [0, 3.0, 5.0, 60.0, 40.0]])
    expected, expected_cells = roi_pool_reference(features, rois, (7, 7), 1.0)
    assert expected_cells.max() == 128 * width - 1
    pooled, argmax = torch.ops.frcnn.roi_pool(features.to(device), rois.to(device), 7, 7, 1.0)
    assert torch.equal(pooled.cpu(), expected)
    assert argmax.dtype == cell_type
    assert torch.equal(argmax.cpu(), expected_cells)
    weights = torch.randn(expected.shape, generator=torch.Generator().manual_seed(1))
    arguments = (weights.to(device), rois.to(device), argmax, *features.shape, False)
    gradient = torch.ops.frcnn.roi_pool_backward(*arguments)
    by_reference = roi_pool_backward_reference(weights, rois, expected_cells, features.shape)
    assert torch.equal(gradient.cpu(), by_reference)
    torch.library.opcheck(
        torch.ops.frcnn.roi_pool.default, (features.to(device), rois.to(device), 7, 7, 1.0)
    )


@not_emulated
@each_dtype
@pytest.mark.parametrize("size", STREAMED_MAPS, ids=["16-bit cells", "32-bit cells"])
def test_outputs_larger_than_the_caches(
    size: tuple[int, int], dtype: torch.dtype, device: str
) -> None:
    """From 4 MB the CPU writes whole cache lines past the caches, with and without an argmax."""
    features, rois = streamed_features(size, dtype), streamed_rois(size)
    expected, cells = roi_pool_reference(features, rois, (7, 7), 1.0)
    assert expected.nbytes >= 4 << 20
    assert cells.dtype == (torch.int16 if size == STREAMED_MAPS[0] else torch.int32)
    features, rois = features.to(device), rois.to(device)
    pooled, argmax = torch.ops.frcnn.roi_pool(features, rois, 7, 7, 1.0)
    assert torch.equal(pooled.cpu(), expected)
    assert torch.equal(argmax.cpu(), cells)
    # Cache lines begin in the middle of a RoI's values, and here also in front of the output.
    out = torch.full((pooled.numel() + 1,), 7, dtype=dtype, device=device)[1:].view(pooled.shape)
    assert torch.equal(roi_pool(features, rois, 7, 1.0, out=out), pooled)


def test_nan_features_are_never_a_maximum(device: str) -> None:
    features = torch.tensor([[[[float("nan"), 1.0], [float("-inf"), float("nan")]]]], device=device)
    rois = torch.tensor([[0, 0, 0, 1, 1], [0, 0, 1, 0, 1.0]], device=device)
    lowest = torch.finfo(torch.float32).min  # what torchvision returns if no value is above it
    pooled, argmax = torch.ops.frcnn.roi_pool(features, rois, 1, 1, 1.0)
    assert pooled.flatten().tolist() == [1.0, lowest]
    assert argmax.flatten().tolist() == [1, -1]


def _has_torchvision_operators() -> bool:
    return hasattr(torch.ops.torchvision, "roi_pool")
