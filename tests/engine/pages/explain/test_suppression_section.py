"""The numbers of suppression, compared with torchvision's operator and with means by NumPy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
import torchvision

from frcnn_cli.engine.boxes import decode_boxes
from frcnn_cli.engine.detection.image import detect_image, score_boxes
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.pages.explain.sections.suppression import suppression_numbers
from frcnn_cli.engine.pages.explain.subject import Subject, make_subject
from frcnn_cli.engine.settings import DetectSettings
from frcnn_proposals.sources.dense import DenseBoxes

IMAGE = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
PROPOSALS = DenseBoxes().propose(IMAGE).top(150)
SETTINGS = DetectSettings(score_threshold=0.3, max_per_class=60, top_k=5, box_voting=0.5)


def subject_of(model: FastRCNN, settings: DetectSettings = SETTINGS) -> Subject:
    for head in model.heads:  # so that scores and boxes of the proposals differ
        torch.manual_seed(1)
        torch.nn.init.normal_(head.score.weight, std=0.5)
        torch.nn.init.normal_(head.box.weight, std=0.1)
        head.offset_deviations[:] = torch.tensor([0.1, 0.1, 0.2, 0.2])
    return make_subject(model, IMAGE, PROPOSALS, settings)


def detections_on_page(numbers: dict[str, Any], threshold: float) -> list[tuple[int, float, float]]:
    """Label, score and first corner of what the page shows as detections, best first."""
    found = [
        (group["label"], candidate["score"], candidate["voted"][0])
        for group in numbers["classes"]
        for candidate in group["candidates"]
        if 0 <= candidate["place"] < numbers["top_k"] and candidate["score"] >= threshold
    ]
    return sorted(found, key=lambda entry: -entry[1])


def test_the_candidates_are_those_of_torchvision(small_model: FastRCNN) -> None:
    subject = subject_of(small_model)
    numbers = suppression_numbers(subject)
    scores, boxes = score_boxes(small_model, IMAGE, PROPOSALS, SETTINGS)
    assert {group["label"] for group in numbers["classes"]} == {1, 2}
    for group in numbers["classes"]:
        label = group["label"]
        order = scores[:, label].argsort(descending=True, stable=True)[:60]
        assert group["count"] == len(group["candidates"]) == 60
        assert [c["proposal"] for c in group["candidates"]] == order.tolist()
        own = boxes[order, label - 1]
        assert torch.allclose(torch.tensor([c["box"] for c in group["candidates"]]), own, atol=0.06)
        inclusive = own + torch.tensor([0.0, 0, 1, 1])
        kept = torchvision.ops.nms(inclusive, scores[order, label], SETTINGS.nms_iou).tolist()
        assert 1 < len(kept) < 60
        overlaps = torchvision.ops.box_iou(inclusive, inclusive)
        for position, candidate in enumerate(group["candidates"]):
            if position in kept:
                assert candidate["by"] is None
                continue
            assert candidate["place"] == -1
            first = next(k for k in kept if overlaps[k, position] > SETTINGS.nms_iou)
            assert candidate["by"] == first
            assert candidate["iou"] == pytest.approx(float(overlaps[first, position]), abs=6e-4)


def test_votes_are_means_of_all_boxes_of_the_class(small_model: FastRCNN) -> None:
    numbers = suppression_numbers(subject_of(small_model))
    scores, boxes = score_boxes(small_model, IMAGE, PROPOSALS, SETTINGS)
    for group in numbers["classes"]:
        rows = [candidate["proposal"] for candidate in group["candidates"]]
        own = boxes[rows, group["label"] - 1]
        inclusive = own + torch.tensor([0.0, 0, 1, 1])
        votes = torchvision.ops.box_iou(inclusive, inclusive).numpy() >= 0.5
        for candidate, voters in zip(group["candidates"], votes, strict=True):
            weights = scores[rows, group["label"]].numpy()[voters]
            mean = np.average(own.numpy()[voters], axis=0, weights=weights)
            assert candidate["voters"] == voters.sum()
            assert candidate["voted"] == pytest.approx(mean, abs=0.06)


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5])
def test_every_threshold_has_the_detections_of_the_model(
    small_model: FastRCNN, threshold: float
) -> None:
    """One page holds for all thresholds: a lower one only adds candidates at the end."""
    numbers = suppression_numbers(subject_of(small_model))
    settings = replace(SETTINGS, score_threshold=threshold)
    found = detect_image(small_model, IMAGE, PROPOSALS, settings)
    ours = detections_on_page(numbers, threshold)
    assert [label for label, _, _ in ours] == found.labels.tolist()
    assert [score for _, score, _ in ours] == pytest.approx(found.scores, abs=6e-5)
    assert [x1 for _, _, x1 in ours] == pytest.approx(found.boxes[:, 0], abs=0.06)


def test_without_voting_and_a_second_head_the_page_says_so(small_model: FastRCNN) -> None:
    numbers = suppression_numbers(subject_of(small_model, replace(SETTINGS, box_voting=0.0)))
    assert numbers["voting"] is None
    assert numbers["cascade"] is None
    assert "voted" not in numbers["classes"][0]["candidates"][0]


def test_the_second_head_step_by_step(small_model: FastRCNN) -> None:
    architecture = replace(small_model.architecture, cascade=True)
    torch.manual_seed(0)
    model = FastRCNN(architecture).eval()
    subject = subject_of(model, replace(SETTINGS, max_proposals=20))
    numbers = suppression_numbers(subject)
    assert numbers["max_proposals"] == 20
    assert model.second is not None
    rois = subject.rois[list(subject.chosen)]
    with torch.no_grad():
        one = model.head(model.pool(subject.feature_map, rois))
        first = one.logits.softmax(1)
        best = first[:, 1:].argmax(dim=1)
        rows = torch.arange(len(rois))
        moved = decode_boxes(rois[:, 1:], model.denormalise(one.offsets))[rows, best]
        second_rois = torch.cat([rois[:, :1], moved], 1)
        two = model.second.head(model.pool(subject.feature_map, second_rois))
        second = two.logits.softmax(1)
        last = decode_boxes(moved, model.second.denormalise(two.offsets))[rows, best]
    scores, _ = score_boxes(replaced_head(model), IMAGE, PROPOSALS)
    read = scores[:, 1:].amax(dim=1).argsort(descending=True, stable=True)[:20].tolist()
    limits = torch.tensor([127.0, 95, 127, 95])
    for k, roi in enumerate(numbers["cascade"]):
        assert roi["label"] == best[k] + 1
        assert roi["first"] == pytest.approx(float(first[k, best[k] + 1]), abs=1e-4)
        assert roi["second"] == pytest.approx(float(second[k, best[k] + 1]), abs=1e-4)
        assert roi["mean"] == pytest.approx((roi["first"] + roi["second"]) / 2, abs=2e-4)
        assert roi["moved"] == pytest.approx((moved[k] / subject.scale).tolist(), abs=0.06)
        clipped = (last[k] / subject.scale).clamp(min=0).minimum(limits)
        assert roi["box"] == pytest.approx(clipped.tolist(), abs=0.06)
        assert numbers["read"][k] == (subject.chosen[k] in read)


def replaced_head(model: FastRCNN) -> FastRCNN:
    """The same network with its first head only."""
    plain = FastRCNN(replace(model.architecture, cascade=False)).eval()
    plain.load_state_dict(model.state_dict(), strict=False)
    return plain


def test_svms_have_margins_and_every_class_without_a_threshold(small_model: FastRCNN) -> None:
    small_model.architecture = replace(small_model.architecture, classifier="svm")
    subject = subject_of(small_model, replace(SETTINGS, score_threshold=None))
    numbers = suppression_numbers(subject)
    assert numbers["margins"]
    assert numbers["threshold"] is None
    for group in numbers["classes"]:
        for candidate in group["candidates"]:
            margin = subject.outputs.logits[candidate["proposal"], group["label"]]
            assert candidate["score"] == pytest.approx(float(margin), abs=1e-4)


def test_a_score_that_is_not_a_number_has_no_suppressor(small_model: FastRCNN) -> None:
    small_model.architecture = replace(small_model.architecture, classifier="svm")
    torch.nn.init.constant_(small_model.score.bias[2:], float("nan"))
    numbers = suppression_numbers(subject_of(small_model, replace(SETTINGS, score_threshold=None)))
    candidates = {group["label"]: group["candidates"] for group in numbers["classes"]}
    assert {(each["score"], each["by"], each["place"]) for each in candidates[2]} == {
        (None, None, -1)
    }
    assert any(each["by"] is not None for each in candidates[1])
