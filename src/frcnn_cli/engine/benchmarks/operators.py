"""Non-maximum suppression against torchvision's; results of operator benchmarks, random boxes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial

import torch
import torchvision
from torch import Tensor

from frcnn_cli.engine.benchmarks.measuring import BenchmarkResult, interleaved_medians
from frcnn_cli.engine.reporter import SILENT, Reporter
from frcnn_kernels import batched_nms


@dataclass(frozen=True)
class OperatorCase(BenchmarkResult):
    """Median times of one case; onnxruntime_s is None if it was not run.

    bytes: least memory traffic, with every input read and every output written once. copy_s: of a
    plain copy that moves as many bytes, half of them read and half written. equal: whether the
    result is bit-identical to torchvision's.
    """

    name: str
    ours_s: float
    copy_s: float
    torchvision_s: float
    onnxruntime_s: float | None
    bytes: int
    equal: bool

    @property
    def ratio(self) -> float:
        """Time of torchvision over ours."""
        return self.torchvision_s / self.ours_s

    @property
    def times_copy(self) -> float:
        """Our time over that of the copy."""
        return self.ours_s / self.copy_s


def compare(
    name: str,
    contestants: Mapping[str, Callable[[], Tensor]],
    rounds: int,
    moved: int,
    device: torch.device,
) -> OperatorCase:
    """Compare the results of "ours" and "torchvision", then time all contestants and a copy."""
    equal = torch.equal(contestants["ours"](), contestants["torchvision"]())
    source = torch.zeros(moved // 2, dtype=torch.uint8, device=device)
    target = torch.ones_like(source)
    contestants = {"copy": lambda: target.copy_(source), **contestants}
    seconds = interleaved_medians(contestants, rounds)
    times = (seconds["ours"], seconds["copy"], seconds["torchvision"], seconds.get("onnxruntime"))
    return OperatorCase(name, *times, moved, equal)


def size_in_bytes(*tensors: Tensor) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)


def draw_boxes(count: int, width: int, height: int, generator: torch.Generator) -> Tensor:
    """(count, 4) boxes with sides from 20 pixels to the whole image, uniform on a log scale.

    Every other box lies on multiples of 8 pixels, half of which fall on .5 at stride 16.
    """
    extent = torch.tensor([width, height], dtype=torch.float32)
    share = torch.rand(count, 2, generator=generator)
    sizes = 20 * torch.exp(share * torch.log(extent / 20))
    corners = torch.rand(count, 2, generator=generator) * (extent - sizes)
    boxes = torch.cat([corners, corners + sizes - 1], dim=1)
    boxes[::2] = (boxes[::2] / 8).round() * 8
    return boxes


def draw_rois(
    count: int, images: int, width: int, height: int, generator: torch.Generator
) -> Tensor:
    """(count, 5) RoIs spread over the images of a batch, in the order in which they are drawn."""
    batch = torch.arange(count) % images
    boxes = draw_boxes(count, width, height, generator)
    return torch.cat([batch.float()[:, None], boxes], dim=1)


def draw_clustered_boxes(count: int, width: int, height: int, generator: torch.Generator) -> Tensor:
    """(count, 4) boxes as a detector predicts them: half are clustered around ten objects."""
    objects = draw_boxes(10, width, height, generator)
    chosen = objects[torch.randint(0, 10, (count // 2,), generator=generator)]
    side = (chosen[:, 2:] - chosen[:, :2]).repeat(1, 2)
    near = chosen + 0.1 * side * torch.randn(chosen.shape, generator=generator)
    near = torch.cat([torch.minimum(near[:, :2], near[:, 2:]), near[:, 2:]], dim=1)
    return torch.cat([near, draw_boxes(count - count // 2, width, height, generator)])


CASES = {"nms-20x2000": (20, 2000), "nms-1x2000": (1, 2000)}  # classes, boxes per class
IOU_THRESHOLD = 0.3
IMAGE_SIZE = (1000, 600)


def benchmark_nms(
    rounds: int = 21,
    cases: dict[str, tuple[int, int]] = CASES,
    device: torch.device | None = None,
    reporter: Reporter = SILENT,
) -> list[OperatorCase]:
    """Time our batched_nms and torchvision's, after checking that both keep the same boxes."""
    device = device or torch.device("cpu")
    results = []
    for name, (classes, boxes_per_class) in cases.items():
        reporter.detail(name)
        generator = torch.Generator().manual_seed(0)
        boxes = torch.cat(
            [draw_clustered_boxes(boxes_per_class, *IMAGE_SIZE, generator) for _ in range(classes)]
        ).to(device)
        scores = torch.rand(len(boxes), generator=generator).to(device)
        labels = torch.arange(classes).repeat_interleave(boxes_per_class).to(device)
        arguments = (boxes, scores, labels, IOU_THRESHOLD)
        contestants: dict[str, Callable[[], Tensor]] = {
            "ours": partial(batched_nms, *arguments),
            "torchvision": partial(torchvision.ops.batched_nms, *arguments),
        }
        moved = size_in_bytes(boxes, scores, labels, batched_nms(*arguments))
        results.append(compare(name, contestants, rounds, moved, device))
    return results
