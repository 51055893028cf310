"""Non-maximum suppression beside torchvision's."""

from __future__ import annotations

import torch
import torchvision

from frcnn_cli.engine.benchmarks.operators import (
    OperatorCase,
    Progress,
    draw_clustered_boxes,
    size_in_bytes,
)
from frcnn_cli.engine.benchmarks.timing import memory_bandwidth, time_in_turn
from frcnn_kernels import batched_nms

CASES = {"nms-20x2000": (20, 2000), "nms-1x2000": (1, 2000)}  # classes, boxes of each
IOU_THRESHOLD = 0.3
IMAGE_SIZE = (1000, 600)


def benchmark_nms(
    rounds: int = 21,
    cases: dict[str, tuple[int, int]] = CASES,
    device: torch.device | None = None,
    progress: Progress = lambda name: None,
) -> list[OperatorCase]:
    """Times batched_nms, ours and torchvision's in turn, after checking that both keep the same."""
    device = device or torch.device("cpu")
    bandwidth = memory_bandwidth(device)
    results = []
    for name, (classes, boxes_each) in cases.items():
        progress(name)
        generator = torch.Generator().manual_seed(0)
        boxes = torch.cat(
            [draw_clustered_boxes(boxes_each, *IMAGE_SIZE, generator) for _ in range(classes)]
        ).to(device)
        scores = torch.rand(len(boxes), generator=generator).to(device)
        labels = torch.arange(classes).repeat_interleave(boxes_each).to(device)
        arguments = (boxes, scores, labels, IOU_THRESHOLD)
        kept = batched_nms(*arguments)
        equal = torch.equal(kept, torchvision.ops.batched_nms(*arguments))
        contestants = {
            "ours": lambda a=arguments: batched_nms(*a),
            "torchvision": lambda a=arguments: torchvision.ops.batched_nms(*a),
        }
        seconds = time_in_turn(contestants, rounds)
        moved = size_in_bytes(boxes, scores, labels, kept)
        results.append(
            OperatorCase(
                name, seconds["ours"], seconds["torchvision"], None, moved, bandwidth, equal
            )
        )
    return results
