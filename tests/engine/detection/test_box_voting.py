"""Box voting, against means worked by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn

from frcnn_cli.engine.boxes import iou_matrix
from frcnn_cli.engine.detection.image import detect_image, vote_boxes
from frcnn_cli.engine.network.model import FastRCNN, Outputs
from frcnn_cli.engine.settings import DetectSettings
from frcnn_proposals.base import Proposals

IMAGE = np.zeros((100, 200, 3), np.uint8)
# IoU with the first: 1, 100 / 120, 60 / 100, 0.
BOXES = torch.tensor([[0.0, 0, 9, 9], [0, 0, 11, 9], [0, 0, 9, 5], [50, 50, 59, 59]])
SCORES = torch.tensor([0.9, 0.3, 0.6, 0.8])
SAME = torch.ones(4, dtype=torch.int64)


def vote(iou: float, labels: torch.Tensor = SAME, scores: torch.Tensor = SCORES) -> list[float]:
    """Where the first box goes."""
    voted = vote_boxes(BOXES[:1], labels[:1], BOXES, labels, scores, iou)
    return [round(value, 4) for value in voted[0].tolist()]


def test_boxes_that_overlap_enough_weigh_by_their_scores() -> None:
    assert vote(0.9) == [0, 0, 9, 9]
    assert vote(0.8) == [0, 0, 9.5, 9]  # (0.9 * 9 + 0.3 * 11) / 1.2
    assert vote(0.5) == [0, 0, 9.3333, 7.6667]  # 16.8 / 1.8 and 13.8 / 1.8


def test_other_classes_have_no_vote() -> None:
    assert vote(0.5, labels=torch.tensor([1, 2, 2, 2])) == [0, 0, 9, 9]


def test_margins_under_zero_weigh_nothing_and_without_weight_a_box_stays() -> None:
    assert vote(0.8, scores=torch.tensor([0.5, -2.0, 1.0, 1.0])) == [0, 0, 9, 9]
    assert vote(0.8, scores=torch.full((4,), -1.0)) == [0, 0, 9, 9]


def test_many_are_each_the_mean_that_a_loop_gives() -> None:
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


class Saying(nn.Module):
    """A network of two proposals: of its one object, a good box and a worse one to the right."""

    def forward(self, images: torch.Tensor, rois: torch.Tensor) -> Outputs:
        logits = torch.tensor([[0.0, 3.0, -9.0], [0.0, -0.5, -9.0]])
        return Outputs(logits[: len(rois)], torch.zeros(len(rois), 8))


def test_a_threshold_hides_detections_and_moves_none(small_model: FastRCNN) -> None:
    small_model.forward = Saying().forward  # type: ignore[method-assign]
    proposals = Proposals(np.array([[0, 0, 49, 49], [10, 0, 59, 49]]))
    places = [
        detect_image(small_model, IMAGE, proposals, settings).boxes[0].tolist()
        for settings in (
            DetectSettings(score_threshold=None, box_voting=0.5),
            DetectSettings(score_threshold=0.5, box_voting=0.5),
        )
    ]
    good, worse = 1 / (1 + np.exp(-3)), 1 / (1 + np.exp(0.5))
    moved = 10 * worse / (good + worse)
    assert places[0] == pytest.approx([moved, 0, 49 + moved, 49], abs=0.01)
    assert places[0] == places[1]


def test_boxes_that_are_left_on_their_proposals_do_not_vote(small_model: FastRCNN) -> None:
    small_model.forward = Saying().forward  # type: ignore[method-assign]
    proposals = Proposals(np.array([[0, 0, 49, 49], [10, 0, 59, 49]]))
    settings = DetectSettings(box_voting=0.5, box_regression=False)
    found = detect_image(small_model, IMAGE, proposals, settings)
    assert found.boxes.tolist() == [[0, 0, 49, 49]]
