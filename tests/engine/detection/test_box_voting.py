"""Box voting, compared with means computed by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from given_outputs import with_first_head

from frcnn_cli.engine.boxes import iou_matrix
from frcnn_cli.engine.detection import suppression
from frcnn_cli.engine.detection.image import detect_image
from frcnn_cli.engine.detection.suppression import vote_boxes
from frcnn_cli.engine.network.layers.box_head import HeadOutputs
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.settings import DetectSettings
from frcnn_proposals.base import Proposals

IMAGE = np.zeros((100, 200, 3), np.uint8)
# IoU with the first: 1, 100 / 120, 60 / 100, 0.
BOXES = torch.tensor([[0.0, 0, 9, 9], [0, 0, 11, 9], [0, 0, 9, 5], [50, 50, 59, 59]])
SCORES = torch.tensor([0.9, 0.3, 0.6, 0.8])
SAME = torch.ones(4, dtype=torch.int64)


def vote(iou: float, labels: torch.Tensor = SAME, scores: torch.Tensor = SCORES) -> list[float]:
    """The first box after voting."""
    voted = vote_boxes(BOXES[:1], labels[:1], BOXES, labels, scores, iou)
    return [round(value, 4) for value in voted[0].tolist()]


def test_overlapping_boxes_are_weighted_by_score() -> None:
    assert vote(0.9) == [0, 0, 9, 9]
    assert vote(0.8) == [0, 0, 9.5, 9]  # (0.9 * 9 + 0.3 * 11) / 1.2
    assert vote(0.5) == [0, 0, 9.3333, 7.6667]  # 16.8 / 1.8 and 13.8 / 1.8


def test_other_classes_do_not_vote() -> None:
    assert vote(0.5, labels=torch.tensor([1, 2, 2, 2])) == [0, 0, 9, 9]


def test_negative_margins_have_no_weight_and_a_box_without_votes_stays() -> None:
    assert vote(0.8, scores=torch.tensor([0.5, -2.0, 1.0, 1.0])) == [0, 0, 9, 9]
    assert vote(0.8, scores=torch.full((4,), -1.0)) == [0, 0, 9, 9]


def test_many_boxes_equal_the_means_of_a_loop() -> None:
    generator = np.random.default_rng(0)
    corners = generator.uniform(0, 60, (300, 2))
    boxes = np.concatenate([corners, corners + generator.uniform(5, 60, (300, 2))], axis=1)
    boxes = boxes.astype(np.float32)
    labels, scores = generator.integers(1, 4, 300), generator.uniform(0, 1, 300)
    tensors = (torch.from_numpy(boxes), torch.from_numpy(labels), torch.from_numpy(scores).float())
    voted = vote_boxes(tensors[0], tensors[1], *tensors, 0.5).numpy()
    overlaps = iou_matrix(boxes, boxes)
    for row, overlap in enumerate(overlaps):
        voters = (overlap >= 0.5) & (labels == labels[row])
        mean = np.average(boxes[voters], axis=0, weights=scores[voters])
        assert voted[row] == pytest.approx(mean, rel=1e-4)


def compared(monkeypatch: pytest.MonkeyPatch, classes: int, each: int, kept: int) -> list[int]:
    """The numbers of pairs of boxes in each matrix of IoUs, with `each` boxes per class."""
    sizes: list[int] = []

    def counted(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        sizes.append(len(a) * len(b))
        return iou_matrix(a, b)

    generator = torch.Generator().manual_seed(0)
    corners = 60 * torch.rand(classes * each, 2, generator=generator)
    boxes, labels = torch.cat([corners, corners + 30], 1), torch.arange(classes * each) % classes
    with monkeypatch.context() as patch:
        patch.setattr(suppression, "iou_matrix", counted)
        vote_boxes(boxes[:kept], labels[:kept] + 1, boxes, labels + 1, boxes[:, 0], 0.5)
    return sizes


def test_work_does_not_grow_with_classes_that_have_no_detection(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    few, many = (sum(compared(monkeypatch, classes, 300, 20)) for classes in (20, 200))
    assert few == many == 20 * 300


def test_many_detections_of_one_class_are_averaged_in_blocks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    sizes = compared(monkeypatch, 1, 2000, 2000)
    assert sum(sizes) == 2000 * 2000
    assert max(sizes) <= 1 << 18


def two_proposals(images: torch.Tensor, rois: torch.Tensor) -> HeadOutputs:
    """Outputs for two proposals of one object: a good one, and a worse one to its right."""
    logits = torch.tensor([[0.0, 3.0, -9.0], [0.0, -0.5, -9.0]])
    return HeadOutputs(logits[: len(rois)], torch.zeros(len(rois), 8))


def test_score_threshold_does_not_move_detections(small_model: FastRCNN) -> None:
    with_first_head(small_model, two_proposals)
    proposals = Proposals(np.array([[0, 0, 49, 49], [10, 0, 59, 49]]))
    boxes = [
        detect_image(small_model, IMAGE, proposals, settings).boxes[0].tolist()
        for settings in (
            DetectSettings(score_threshold=None, box_voting=0.5),
            DetectSettings(score_threshold=0.5, box_voting=0.5),
        )
    ]
    good, worse = 1 / (1 + np.exp(-3)), 1 / (1 + np.exp(0.5))
    moved = 10 * worse / (good + worse)
    assert boxes[0] == pytest.approx([moved, 0, 49 + moved, 49], abs=0.01)
    assert boxes[0] == boxes[1]


def test_no_voting_without_box_regression(small_model: FastRCNN) -> None:
    with_first_head(small_model, two_proposals)
    proposals = Proposals(np.array([[0, 0, 49, 49], [10, 0, 59, 49]]))
    settings = DetectSettings(box_voting=0.5, box_regression=False)
    found = detect_image(small_model, IMAGE, proposals, settings)
    assert found.boxes.tolist() == [[0, 0, 49, 49]]
