"""The exported detector with suppression, before it is written: its detections are `detect`'s."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from small_detector import make_parts, proposals_in

from frcnn_cli.engine.detection.image import detect_image
from frcnn_cli.engine.exchange.exported import Reading
from frcnn_cli.engine.exchange.exported_nms import DetectorWithNms
from frcnn_cli.engine.exchange.plain_selection import first_of_window, overlaps_more, survivors
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.network.transforms import distinct_windows
from frcnn_cli.engine.records import Detections
from frcnn_cli.engine.settings import DetectSettings
from frcnn_kernels import nms
from frcnn_proposals.base import Proposals

Boxes = NDArray[np.float32]
LOW = DetectSettings(score_threshold=0.2, max_proposals=25)


def picture(side: int) -> NDArray[np.uint8]:
    """A picture of the size that the network takes, so that it is not resized."""
    coarse = np.random.default_rng(5).integers(0, 256, (8, 9, 3)).astype(np.float32)
    large = np.kron(coarse, np.ones((side // 8, side // 8, 1), np.float32))
    return large.astype(np.uint8)


def detected(model: FastRCNN, boxes: Boxes, settings: DetectSettings) -> Detections:
    image = picture(model.architecture.preprocessing.scale)
    module = DetectorWithNms(model, False, settings)
    size = torch.tensor(image.shape[:2])
    with torch.inference_mode():
        outputs = module(torch.from_numpy(image), torch.from_numpy(boxes), torch.tensor(1.0), size)
    return Detections(*(output.numpy() for output in outputs[2:]))


def assert_same(found: Detections, expected: Detections) -> None:
    np.testing.assert_array_equal(found.labels, expected.labels)
    np.testing.assert_allclose(found.scores, expected.scores, rtol=0, atol=1e-4)
    np.testing.assert_allclose(found.boxes, expected.boxes, rtol=0, atol=1e-3)


def check(model: FastRCNN, boxes: Boxes, settings: DetectSettings) -> int:
    image = picture(model.architecture.preprocessing.scale)
    expected = detect_image(model, image, Proposals(boxes), settings)
    assert_same(detected(model, boxes, settings), expected)
    return len(expected)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"box_voting": 0.5},
        {"box_voting": 0.3, "max_per_class": 7, "top_k": 5, "nms_iou": 0.5},
        {"box_voting": 0.5, "box_regression": False},
        {"score_threshold": None},
        {"proposals": 10},
    ],
    ids=str,
)
@pytest.mark.parametrize("parts", [{}, {"cascade": True, "ranker": True}], ids=str)
def test_the_settings_of_detection(parts: dict[str, Any], changes: dict[str, Any]) -> None:
    model = make_parts(**parts)
    settings = DetectSettings(**{**vars(LOW), **changes})
    boxes = proposals_in(picture(160), 60)
    assert check(model, boxes, settings) >= 3


@pytest.mark.parametrize("count", [0, 1, 2, 400])
@pytest.mark.parametrize(
    "parts",
    [{}, {"cascade": True}, {"ranker": True}, {"classifier": "svm"}, {"box_regression": False}],
    ids=str,
)
def test_any_number_of_proposals(parts: dict[str, Any], count: int) -> None:
    model = make_parts(**parts)
    settings = DetectSettings(**{**vars(LOW), "box_voting": 0.5})
    found = check(model, proposals_in(picture(160), count), settings)
    assert found == 0 if count == 0 else found > 0 or count < 3


def test_no_class_has_a_detection() -> None:
    settings = DetectSettings(score_threshold=1.0, box_voting=0.5)
    assert check(make_parts(), proposals_in(picture(160), 60), settings) == 0


@pytest.mark.parametrize("voting", [0.0, 0.5])
def test_equal_scores_and_boxes(voting: float) -> None:
    """Of many equal scores, at all limits, the first ones count; IoUs are exactly the threshold."""
    settings = DetectSettings(
        score_threshold=0.5, nms_iou=0.5, max_per_class=40, top_k=30, box_voting=voting
    )
    model = make_parts()
    module = DetectorWithNms(model, False, settings)
    draw = np.random.default_rng(3)
    corners = draw.choice([0, 10, 20, 60], (120, 3, 2))
    boxes = np.concatenate([corners, corners + draw.choice([9, 19, 39], (120, 3, 2))], axis=2)
    scores = torch.from_numpy(draw.integers(0, 9, (120, 4)) / 8).float()
    reading = Reading(scores, torch.from_numpy(boxes).float(), torch.ones(120, 1).bool())
    found, values, labels = module.detect(reading)
    kept, by_hand = [], []
    for label in (1, 2, 3):
        rows = scores[:, label].sort(descending=True, stable=True).indices[:40]
        rows = rows[scores[rows, label] >= 0.5]
        stays = nms(reading.boxes[rows, label - 1] + torch.tensor([0, 0, 1.0, 1.0]),
                    scores[rows, label], 0.5)  # fmt: skip
        kept += [(-float(scores[rows[i], label]), int(i), label, int(rows[i])) for i in stays]
    for score, _, label, row in sorted(kept)[:30]:
        by_hand.append((-score, label, reading.boxes[row, label - 1].tolist()))
    assert values.tolist() == [score for score, _, _ in by_hand]
    assert labels.tolist() == [label for _, label, _ in by_hand]
    if voting == 0:
        assert found.tolist() == [box for _, _, box in by_hand]


def test_a_proposal_that_is_not_finite_changes_no_detection() -> None:
    model, boxes = make_parts(), proposals_in(picture(160), 30)
    settings = replace(LOW, box_voting=0.5, score_threshold=None)
    broken = np.insert(boxes, [3, 17], [[np.nan, 0, 9, 9], [0, 0, np.inf, 9]], axis=0)
    assert_same(detected(model, broken.astype(np.float32), settings),
                detected(model, boxes, settings))  # fmt: skip


def test_suppression_by_hand() -> None:
    near = torch.tensor([[0, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0.0]])
    ones = torch.ones(4)
    assert survivors(near, ones).tolist() == [1, 0, 1, 0]
    assert survivors(near, torch.tensor([0, 1, 1, 1.0])).tolist() == [0, 1, 0, 1]
    assert survivors(near[:0, :0], ones[:0]).tolist() == []
    # Each of 300 boxes is near the one before it: the longest chain that is possible.
    chain = torch.diag(torch.ones(299), -1)
    assert survivors(chain, torch.ones(300)).tolist() == [1, 0] * 150


@pytest.mark.parametrize("iou", [0.0, 0.3, 0.5, 0.8, 1.0])
def test_overlaps_are_those_of_the_operator(iou: float) -> None:
    """Also where an IoU is exactly the threshold."""
    draw = np.random.default_rng(0)
    corners = torch.from_numpy(draw.integers(0, 12, (70, 2))).float()
    boxes = torch.cat([corners, corners + torch.from_numpy(draw.integers(0, 20, (70, 2)))], dim=1)
    found = overlaps_more(boxes, iou)
    for i in range(70):
        for k in range(i):
            pair = boxes[[k, i]] + torch.tensor([0, 0, 1.0, 1.0])
            assert (len(nms(pair, torch.tensor([1.0, 0.5]), iou)) == 1) == found[i, k]


def test_the_first_roi_of_each_window() -> None:
    draw = torch.Generator().manual_seed(0)
    corners = (torch.rand(200, 2, 2, generator=draw) * 48 - 8).sort(dim=1).values.flatten(1)
    rois = torch.cat([torch.zeros(200, 1), (corners / 8).round() * 8], dim=1)
    distinct, index = distinct_windows(rois, 16)
    assert 10 < len(distinct) < 150
    torch.testing.assert_close(rois[first_of_window(rois, 16)], distinct[index])
    assert first_of_window(rois[:0], 16).tolist() == []
