"""Who suppresses whom, compared with boxes worked by hand and with a loop over the definition."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torchvision

from frcnn_cli.engine.compression.layers import compress
from frcnn_cli.engine.detection.image import detect_image, detect_in_views, read_views
from frcnn_cli.engine.detection.suppression import Candidates, suppress, suppressors
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.settings import DetectSettings
from frcnn_proposals.base import Proposals

EVERY = DetectSettings(score_threshold=None, nms_iou=0.5, top_k=10**6)
# IoU of the first with the others: 0.8, 0.5, 0.6, 0; of the second with the third: 0.625.
BOXES = [[0, 0, 9, 9], [0, 0, 9, 7], [0, 0, 9, 4], [0, 0, 9, 5], [50, 50, 59, 59]]


def candidates(boxes: list[list[int]], scores: list[float], labels: list[int]) -> Candidates:
    rows = torch.arange(len(boxes))
    return Candidates(rows, torch.tensor(scores), torch.tensor(boxes).float(), torch.tensor(labels))


def test_the_suppressor_by_hand() -> None:
    found = candidates(BOXES, [0.9, 0.8, 0.7, 0.6, 0.5], [1, 1, 1, 2, 1])
    kept = suppress(found, EVERY)
    # An IoU of exactly 0.5 suppresses nothing; a suppressed box (1) suppresses nothing; nor does
    # a box of another class.
    assert kept.tolist() == [0, 2, 3, 4]
    by = suppressors(found, kept, 0.5)
    assert by.by.tolist() == [-1, 0, -1, -1, -1]
    assert by.iou.tolist() == pytest.approx([0, 0.8, 0, 0, 0])


def test_the_first_of_two_suppressors_counts_and_a_worse_box_does_not() -> None:
    boxes = [[0, 0, 9, 9], [6, 0, 15, 9], [4, 0, 13, 9]]  # the third overlaps both
    found = candidates(boxes, [0.7, 0.9, 0.8], [1, 1, 1])
    settings = DetectSettings(score_threshold=None, nms_iou=0.4)
    kept = suppress(found, settings)
    assert kept.tolist() == [1, 0]
    assert suppressors(found, kept, 0.4).by.tolist() == [-1, -1, 1]
    found = candidates(boxes, [0.9, 0.7, 0.8], [1, 1, 1])
    kept = suppress(found, settings)
    assert kept.tolist() == [0, 1]
    by = suppressors(found, kept, 0.4)
    assert by.by.tolist() == [-1, -1, 0]
    assert by.iou.tolist() == pytest.approx([0, 0, 60 / 140])


def test_equal_scores_are_in_the_order_of_the_candidates() -> None:
    found = candidates([[0, 0, 9, 9]] * 3, [0.5] * 3, [1] * 3)
    kept = suppress(found, EVERY)
    assert kept.tolist() == [0]
    assert suppressors(found, kept, 0.5).by.tolist() == [-1, 0, 0]


@pytest.mark.parametrize("limit", [0.0, 0.3, 0.5, 1.0])
def test_many_candidates_equal_a_loop(limit: float) -> None:
    generator = np.random.default_rng(3)
    corners = generator.integers(0, 40, (300, 2))
    boxes = np.concatenate([corners, corners + generator.integers(3, 50, (300, 2))], axis=1)
    scores, labels = generator.integers(1, 60, 300) / 64, generator.integers(1, 4, 300)
    found = candidates(boxes.tolist(), scores.tolist(), labels.tolist())
    kept = suppress(found, DetectSettings(score_threshold=None, nms_iou=limit, top_k=300))
    by, overlap = suppressors(found, kept, limit)
    inclusive = found.boxes.double() + torch.tensor([0, 0, 1, 1])
    ious = torchvision.ops.box_iou(inclusive, inclusive)
    remaining: list[int] = []
    for index in np.argsort(-scores, kind="stable").tolist():
        over = [k for k in remaining if labels[k] == labels[index] and ious[k, index] > limit]
        if over:
            assert by[index] == over[0]
            assert overlap[index] == pytest.approx(float(ious[over[0], index]))
        else:
            assert by[index] == -1
            remaining.append(index)
    assert kept.tolist() == remaining


def test_no_candidates() -> None:
    found = Candidates(
        torch.zeros(0).long(), torch.zeros(0), torch.zeros(0, 4), torch.zeros(0).long()
    )
    kept = suppress(found, EVERY)
    assert len(kept) == 0
    assert suppressors(found, kept, 0.5).by.tolist() == []


def test_scores_that_are_not_numbers() -> None:
    found = candidates(BOXES, [float("nan")] * 5, [1] * 5)
    kept = suppress(found, EVERY)
    assert len(kept) == 0
    assert suppressors(found, kept, 0.5).by.tolist() == [-1] * 5
    found = candidates(BOXES, [0.9, 0.8, 0.7, float("nan"), 0.5], [1, 1, 1, 2, 1])
    kept = suppress(found, EVERY)
    by = suppressors(found, kept, 0.5)
    assert (by.by.tolist(), by.iou.tolist()[3]) == ([-1, 0, -1, -1, -1], 0)


@pytest.mark.parametrize("flip", [False, True])
def test_heads_of_another_model_can_read_the_same_maps(small_model: FastRCNN, flip: bool) -> None:
    """Compression changes the heads only, so that detections at many ranks need one map."""
    image = np.random.default_rng(0).integers(0, 256, (90, 120, 3), np.uint8)
    boxes = np.array([[0, 0, 59, 59], [20, 10, 99, 79], [40, 30, 119, 89]], np.float32)
    settings = DetectSettings(score_threshold=None, box_voting=0.5, flip=flip)
    smaller = compress(small_model, 4).model
    with torch.inference_mode():
        views = tuple(read_views(small_model, image, boxes, settings))
    views = tuple(replace(view, model=smaller) for view in views)
    ours = detect_in_views(smaller, views, image.shape[:2], settings)
    theirs = detect_image(smaller, image, Proposals(boxes), settings)
    assert np.array_equal(ours.boxes, theirs.boxes)
    assert np.array_equal(ours.scores, theirs.scores)
