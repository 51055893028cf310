"""Non-maximum suppression compared with the reference, torchvision, and results by hand."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from frcnn_kernels import batched_nms, nms
from frcnn_kernels.reference import nms_reference


def boxes_and_scores(count: int, seed: int, size: float = 40.0) -> tuple[Tensor, Tensor]:
    """Boxes with many overlaps and many equal scores."""
    generator = torch.Generator().manual_seed(seed)
    corners = torch.rand(count, 2, generator=generator) * 100
    sizes = torch.rand(count, 2, generator=generator) * size
    scores = (torch.rand(count, generator=generator) * 20).round() / 20
    return torch.cat([corners, corners + sizes], dim=1), scores


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("count", [0, 1, 2, 17, 150])
def test_equals_the_reference(count: int, threshold: float, device: str) -> None:
    boxes, scores = boxes_and_scores(count, seed=count)
    kept = nms(boxes.to(device), scores.to(device), threshold)
    assert kept.tolist() == nms_reference(boxes, scores, threshold).tolist()
    labels = torch.arange(count) * 7919 % 5 - 2
    kept = batched_nms(boxes.to(device), scores.to(device), labels.to(device), threshold)
    assert kept.tolist() == nms_reference(boxes, scores, threshold, labels).tolist()


@pytest.mark.parametrize("count", [3000, 4500])  # above 4096, several blocks of a GPU suppress
def test_equals_torchvision_on_many_boxes(count: int, device: str) -> None:
    ops = pytest.importorskip("torchvision.ops")
    if not hasattr(torch.ops.torchvision, "nms"):
        pytest.skip("torchvision's operators cannot be loaded with this torch")
    boxes, scores = boxes_and_scores(count, seed=5, size=12_000 / count)
    expected = ops.nms(boxes, scores, 0.3)
    assert torch.equal(nms(boxes.to(device), scores.to(device), 0.3).cpu(), expected)


def test_an_overlap_equal_to_the_threshold_is_kept(device: str) -> None:
    # Intersection 1, union 2: the IoU is exactly 0.5, which is not above 0.5.
    boxes = torch.tensor([[0, 0, 1, 1.5], [0, 0.5, 1, 2]], device=device)
    scores = torch.tensor([0.9, 0.8], device=device)
    assert nms(boxes, scores, 0.5).tolist() == [0, 1]
    assert nms(boxes, scores, 0.4999).tolist() == [0]
    # 3 / 10 in float32 is slightly above 0.3 in float64, the given threshold.
    boxes = torch.tensor([[0, 0, 1, 10], [0, 0, 1, 3.0]], device=device)
    assert nms(boxes, scores, 0.3).tolist() == [0]


def test_of_equal_scores_the_first_box_wins(device: str) -> None:
    boxes = torch.tensor([[0, 0, 10, 10.0]], device=device).repeat(50, 1)
    boxes[25:] += 100
    assert nms(boxes, torch.zeros(50, device=device), 0.5).tolist() == [0, 25]


def test_boxes_of_other_labels_are_not_suppressed_at_any_coordinates(device: str) -> None:
    # Adding offsets per label to the coordinates would lose these fractions of a pixel.
    boxes = torch.tensor([[0, 0, 1, 1.0], [1e6, 1e6, 1e6 + 1, 1e6 + 1]], device=device)
    boxes = boxes.repeat(3, 1)
    labels = torch.tensor([5, 5, -(2**62), 5, 2**62, 2**62], device=device)
    scores = torch.arange(6.0, device=device)
    assert batched_nms(boxes, scores, labels, 0.5).tolist() == [5, 4, 3, 2, 0]


def test_boxes_without_area_and_unusual_scores(device: str) -> None:
    boxes = torch.tensor([[5, 5, 5, 5.0], [5, 5, 5, 5], [0, 0, 9, 9], [9, 9, 0, 0]], device=device)
    infinity = float("inf")
    scores = torch.tensor([-infinity, 0.0, float("nan"), infinity], device=device)
    assert nms(boxes, scores, 0.5).tolist() == [2, 3, 1, 0]


@pytest.mark.parametrize(
    ("boxes", "scores", "labels", "threshold"),
    [
        (torch.zeros(3, 5), torch.zeros(3), None, 0.5),
        (torch.zeros(3, 4), torch.zeros(2), None, 0.5),
        (torch.zeros(3, 4).double(), torch.zeros(3), None, 0.5),
        (torch.zeros(3, 4), torch.zeros(3).half(), None, 0.5),
        (torch.zeros(3, 4), torch.zeros(3), torch.zeros(3), 0.5),
        (torch.zeros(3, 4), torch.zeros(3), torch.zeros(2, dtype=torch.int64), 0.5),
        (torch.zeros(3, 4), torch.zeros(3), None, -0.1),
        (torch.zeros(3, 4), torch.zeros(3), None, float("nan")),
        (torch.zeros(3, 4), torch.zeros(3, device="meta"), None, 0.5),
    ],
)
def test_invalid_arguments_are_rejected(
    boxes: Tensor, scores: Tensor, labels: Tensor | None, threshold: float
) -> None:
    call = nms if labels is None else batched_nms
    arguments = (boxes, scores) if labels is None else (boxes, scores, labels)
    with pytest.raises(ValueError):
        call(*arguments, threshold)
    with pytest.raises(RuntimeError):
        torch.ops.frcnn.nms(boxes, scores, labels, threshold)


def test_registrations_are_consistent(device: str) -> None:
    boxes, scores = (tensor.to(device) for tensor in boxes_and_scores(30, seed=1))
    labels = torch.arange(30, device=device) % 3
    torch.library.opcheck(torch.ops.frcnn.nms.default, (boxes, scores, None, 0.5))
    torch.library.opcheck(torch.ops.frcnn.nms.default, (boxes, scores, labels, 0.5))
