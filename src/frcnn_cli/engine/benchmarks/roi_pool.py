"""RoI pooling beside torchvision's, and beside onnxruntime's where that is installed.

Legend: N images, C channels, H x W cells of the map, R RoIs, 7 x 7 bins.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torchvision
from torch import Tensor

from frcnn_cli.engine.benchmarks.onnx_roi_pool import onnx_roi_pool
from frcnn_cli.engine.benchmarks.operators import (
    OperatorCase,
    Progress,
    draw_rois,
    size_in_bytes,
)
from frcnn_cli.engine.benchmarks.timing import memory_bandwidth, time_in_turn
from frcnn_kernels import roi_pool

BINS = 7


@dataclass(frozen=True)
class PoolingCase:
    """A feature map and how it is pooled. kind: infer, train (with argmax) or backward.

    keeps_memory: the output goes where it went the last time, rather than to fresh memory.
    """

    name: str
    kind: str
    map_shape: tuple[int, int, int, int]
    rois: int
    image_size: tuple[int, int]  # width, height
    spatial_scale: float = 1 / 16
    keeps_memory: bool = False


VGG16 = (1, 512, 38, 63)
VGG16_PAIR = (2, 512, 38, 63)
LITE = (1, 112, 38, 50)
CASES = (
    PoolingCase("infer-vgg16-out", "infer", VGG16, 2000, (1000, 600), keeps_memory=True),
    PoolingCase("infer-vgg16", "infer", VGG16, 2000, (1000, 600)),
    PoolingCase("train-vgg16-forward", "train", VGG16_PAIR, 128, (1000, 600)),
    PoolingCase("backward-2000", "backward", VGG16, 2000, (1000, 600)),
    PoolingCase("backward-128", "backward", VGG16_PAIR, 128, (1000, 600)),
    PoolingCase("infer-lite-out", "infer", LITE, 2000, (800, 600), keeps_memory=True),
    PoolingCase("infer-lite", "infer", LITE, 2000, (800, 600)),
)


def benchmark_roi_pool(
    rounds: int = 11,
    cases: tuple[PoolingCase, ...] = CASES,
    device: torch.device | None = None,
    progress: Progress = lambda name: None,
) -> list[OperatorCase]:
    """Times every case, ours and the others' in turn, after checking that the results agree."""
    device = device or torch.device("cpu")
    bandwidth = memory_bandwidth(device)
    results = []
    for case in cases:
        progress(case.name)
        results.append(_measure(case, rounds, bandwidth, device))
    return results


def _measure(
    case: PoolingCase, rounds: int, bandwidth: float, device: torch.device
) -> OperatorCase:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(case.map_shape, generator=generator).to(device)
    width, height = case.image_size
    rois = draw_rois(case.rois, case.map_shape[0], width, height, generator).to(device)
    contest = {"infer": _infer, "train": _train, "backward": _backward}[case.kind]
    contestants, moved = contest(case, features, rois)
    equal = torch.equal(contestants["ours"](), contestants["torchvision"]())
    seconds = time_in_turn(contestants, rounds)
    return OperatorCase(
        case.name, seconds["ours"], seconds["torchvision"], seconds.get("onnxruntime"), moved,
        bandwidth, equal,
    )  # fmt: skip


Contest = tuple[dict[str, Callable[[], Tensor]], int]


def _infer(case: PoolingCase, features: Tensor, rois: Tensor) -> Contest:
    arguments = (features, rois, BINS, case.spatial_scale)
    pooled = roi_pool(*arguments)
    out = pooled if case.keeps_memory else None
    contestants = {
        "ours": lambda: roi_pool(*arguments, out=out),
        "torchvision": lambda: torchvision.ops.roi_pool(*arguments),
    }
    if features.device.type == "cpu":
        contestants |= onnx_roi_pool(*arguments)
    return contestants, size_in_bytes(features, rois, pooled)


def _train(case: PoolingCase, features: Tensor, rois: Tensor) -> Contest:
    features.requires_grad_()
    arguments = (features, rois, BINS, case.spatial_scale)
    pooled, argmax = torch.ops.frcnn.roi_pool(features, rois, BINS, BINS, case.spatial_scale)
    contestants = {
        "ours": lambda: roi_pool(*arguments),
        "torchvision": lambda: torchvision.ops.roi_pool(*arguments),
    }
    return contestants, size_in_bytes(features, rois, pooled, argmax)


def _backward(case: PoolingCase, features: Tensor, rois: Tensor) -> Contest:
    features.requires_grad_()
    arguments = (features, rois, BINS, case.spatial_scale)
    ours, theirs = roi_pool(*arguments), torchvision.ops.roi_pool(*arguments)
    gradient = torch.randn_like(ours)

    def backward(pooled: Tensor) -> Tensor:
        return torch.autograd.grad(pooled, features, gradient, retain_graph=True)[0]

    contestants = {"ours": lambda: backward(ours), "torchvision": lambda: backward(theirs)}
    without_data = (features.to("meta"), rois.to("meta"), BINS, BINS, case.spatial_scale)
    _, argmax = torch.ops.frcnn.roi_pool(*without_data)
    return contestants, size_in_bytes(features, rois, gradient, argmax)
