"""What the CUDA operators promise beyond their results: the same bits, bad RoIs, streams, graphs.

What depends on the kernels alone also runs on the emulated GPU; the rest needs a GPU.
"""

from __future__ import annotations

import pytest
import torch
from cuda_emulator import EMULATED
from roi_pool_samples import bits, mixed_features, random_rois

from frcnn_kernels import nms, roi_pool
from frcnn_kernels.reference import roi_pool_backward_reference

OPERATORS = torch.ops.frcnn
on_gpu = pytest.mark.parametrize("device", ["cuda"], indirect=True)
on_any_gpu = pytest.mark.parametrize("device", [EMULATED, "cuda"], indirect=True)
SHAPE = (2, 5, 9, 13)
BAD = (float("nan"), 0, 0, 5, 5), (0, float("inf"), 0, 5, 5), (2, 0, 0, 5, 5), (-1, 0, 0, 5, 5)


@on_any_gpu
def test_every_run_gives_the_same_bits(device: str) -> None:
    """Although threads run in another order: the emulator shuffles them."""
    features, rois = torch.randn(SHAPE, device=device), random_rois(60, SHAPE).to(device)
    runs = []
    for _ in range(3):
        leaf = features.clone().requires_grad_()
        pooled = roi_pool(leaf, rois, 7, 1.0)
        pooled.backward(torch.ones_like(pooled) / 3)
        runs.append((pooled.detach(), leaf.grad))
    assert all(torch.equal(a, b) for run in runs for a, b in zip(run, runs[0], strict=True))


@on_any_gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.float16], ids=str)
@pytest.mark.parametrize(
    "shape", [(2, 3, 9, 13), (2, 1, 60, 50), (1, 1, 64, 60), (1, 2, 110, 120)], ids=str
)
def test_sums_of_many_bins_are_added_in_the_documented_order(
    shape: tuple[int, int, int, int], dtype: torch.dtype, device: str
) -> None:
    """Every n-th 32 bins make up one of n planes, as many as fit in 48 KB.

    The planes are added in order. The reference computes each from its bins only.
    """
    rois = random_rois(97, shape)  # 4,753 bins: above 4,096, and the last step is not full
    exact = torch.float64 if dtype == torch.float64 else torch.float32
    planes = max(1, min(4, 48 * 1024 // (shape[2] * shape[3] * exact.itemsize)))
    generator = torch.Generator().manual_seed(5)
    argmax = torch.randint(-1, 40, (97, shape[1], 7, 7), generator=generator).to(torch.int16)
    values = torch.randn(argmax.shape, generator=generator, dtype=torch.float64).to(dtype)
    on_device = (values.to(device), rois.to(device), argmax.to(device))
    found = OPERATORS.roi_pool_backward(*on_device, *shape, False).cpu()
    step = torch.arange(97 * 49).reshape(97, 1, 7, 7) // 32
    parts = [
        roi_pool_backward_reference(
            values.to(exact), rois, argmax.where(step % planes == plane, -1), shape
        )
        for plane in range(planes)
    ]
    expected = parts[0]
    for part in parts[1:]:
        expected = expected + part
    assert torch.equal(bits(found), bits(expected.to(dtype)))


@on_any_gpu
@pytest.mark.parametrize("bad", BAD, ids=str)
def test_a_bad_roi_is_zero_or_an_error_for_debugging(
    bad: tuple[float, ...], device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FRCNN_DEBUG", raising=False)
    features = mixed_features("all", SHAPE, torch.float32).to(device).requires_grad_()
    rois = torch.cat([random_rois(2, SHAPE), torch.tensor([bad])]).to(device)
    pooled = roi_pool(features, rois, 3, 1.0)
    assert pooled[2].count_nonzero() == 0
    assert torch.equal(pooled[:2].detach(), roi_pool(features.detach(), rois[:2], 3, 1.0))
    pooled[2].sum().backward()
    assert features.grad is not None
    assert features.grad.count_nonzero() == 0
    monkeypatch.setenv("FRCNN_DEBUG", "1")
    with pytest.raises(RuntimeError, match="a RoI is not finite or its image index is outside"):
        roi_pool(features, rois, 3, 1.0)


@on_any_gpu
@pytest.mark.parametrize(
    ("cell", "dtype"), [(10**9, torch.int32), (-(2**31), torch.int32), (117, torch.int16)]
)
def test_an_argmax_outside_the_map_writes_nothing(
    cell: int, dtype: torch.dtype, device: str
) -> None:
    argmax = torch.full((4, 5, 3, 3), cell, dtype=dtype, device=device)
    rois = random_rois(4, SHAPE).to(device)
    ones = torch.ones(4, 5, 3, 3, device=device)
    gradient = OPERATORS.roi_pool_backward(ones, rois, argmax, *SHAPE, False)
    assert gradient.shape == SHAPE
    assert gradient.count_nonzero() == 0


@on_gpu
def test_another_stream_is_used_if_it_is_current(device: str) -> None:
    features, rois = torch.randn(SHAPE, device=device), random_rois(9, SHAPE).to(device)
    expected = roi_pool(features, rois, 7, 1.0)
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        torch.cuda._sleep(50_000_000)
        late = features + 0  # is computed after the sleep; on another stream it is read too early
        pooled = roi_pool(late, rois, 7, 1.0)
    stream.synchronize()
    assert torch.equal(pooled, expected)


@on_gpu
def test_a_graph_captures_the_pooling(device: str) -> None:
    features, rois = torch.randn(SHAPE, device=device), random_rois(9, SHAPE).to(device)
    roi_pool(features, rois, 7, 1.0)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        pooled = roi_pool(features, rois, 7, 1.0)
    features.copy_(torch.randn(SHAPE))
    graph.replay()
    torch.cuda.synchronize()
    assert torch.equal(pooled, roi_pool(features, rois, 7, 1.0))


@on_gpu
def test_a_second_gpu_is_used_while_the_first_is_current(device: str) -> None:
    if torch.cuda.device_count() < 2:
        pytest.skip("this machine has one GPU")
    features, rois = torch.randn(SHAPE), random_rois(9, SHAPE)
    pooled = roi_pool(features.to("cuda:1"), rois.to("cuda:1"), 7, 1.0)
    assert torch.cuda.current_device() == 0
    assert torch.equal(pooled.cpu(), roi_pool(features, rois, 7, 1.0))
    boxes, scores = rois[:, 1:], torch.rand(9)
    kept = nms(boxes.to("cuda:1"), scores.to("cuda:1"), 0.3)
    assert torch.equal(kept.cpu(), nms(boxes, scores, 0.3))


@on_gpu
@pytest.mark.long
def test_more_elements_than_32_bits_can_count_on_a_gpu(device: str) -> None:
    features = torch.zeros(1, 2**21 + 64, 1, 1, dtype=torch.bfloat16, device=device)
    features[0, -1] = 3
    pooled = roi_pool(features, torch.zeros(1025, 5, device=device), 1, 1.0)
    assert pooled.numel() > 2**31
    assert pooled[-1, -1].item() == 3
    assert pooled[:, :-1].count_nonzero() == 0
