"""Detection in one image, with networks that return given outputs."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from given_outputs import with_first_head
from torch import nn

from frcnn_cli.engine.detection.image import (
    detect_image,
    score_boxes,
    settings_for,
    threshold_for,
)
from frcnn_cli.engine.models.initial import with_weak_head
from frcnn_cli.engine.models.presets import base_experiment, variant_changes
from frcnn_cli.engine.network.layers.box_head import HeadOutputs
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.network.transforms import distinct_windows
from frcnn_cli.engine.settings import Classifier, DetectSettings, TrainSettings
from frcnn_cli.engine.settings.options import DetectionOptions
from frcnn_cli.engine.settings.overrides import override
from frcnn_proposals.base import Proposals
from frcnn_proposals.errors import MisuseError

IMAGE = np.zeros((100, 200, 3), np.uint8)


def with_outputs(
    model: FastRCNN, logits: list[list[float]], offsets: list[list[float]] | None = None
):
    """The model with the given outputs, one row per proposal."""
    given_logits = torch.tensor(logits)
    given_offsets = torch.zeros(len(logits), 8) if offsets is None else torch.tensor(offsets)

    def read(images: torch.Tensor, rois: torch.Tensor) -> HeadOutputs:
        # Rows are in order of the proposals' left edges, whatever the order of `rois`.
        order = torch.argsort(torch.argsort(rois[:, 1]))
        return HeadOutputs(given_logits[order], given_offsets[order])

    return with_first_head(model, read)


def test_decoded_clipped_and_labelled(small_model: FastRCNN) -> None:
    model = with_outputs(small_model, [[0.0, 0.0, 9.0]], [[0, 0, 0, 0, 1.0, 0, 0, 0]])
    found = detect_image(model, IMAGE, Proposals(np.array([[120, 0, 179, 99]])), DetectSettings())
    # The box is 60 pixels wide: it moves right by 60 and is clipped at the last pixel.
    assert found.boxes.tolist() == [[180, 0, 199, 99]]
    assert found.labels.tolist() == [2]
    assert found.scores[0] == pytest.approx(np.exp(9) / (np.exp(9) + 2), rel=1e-5)


def test_without_box_regression_a_detection_is_its_proposal(small_model: FastRCNN) -> None:
    """Disabled at test time, or because the network was trained without box regression."""
    proposal = Proposals(np.array([[120.0, 0, 179, 99]]))
    model = with_outputs(small_model, [[0.0, 0.0, 9.0]], [[0, 0, 0, 0, 1.0, 0, 0, 0]])
    found = detect_image(model, IMAGE, proposal, DetectSettings(box_regression=False))
    assert found.boxes.tolist() == [[120, 0, 179, 99]]
    model.architecture = replace(model.architecture, box_regression=False)
    found = detect_image(model, IMAGE, proposal, DetectSettings())
    assert found.boxes.tolist() == [[120, 0, 179, 99]]


def test_svm_margins_are_scores_and_can_be_negative(small_model: FastRCNN) -> None:
    small_model.architecture = replace(small_model.architecture, classifier="svm")
    model = with_outputs(small_model, [[0.0, -0.5, 1.5], [0.0, -2.0, -1.0]])
    proposals = Proposals(np.array([[0, 0, 49, 49], [100, 0, 149, 49]]))
    found = detect_image(model, IMAGE, proposals, DetectSettings(score_threshold=None))
    assert found.scores.tolist() == [1.5, -0.5, -1.0, -2.0]
    assert found.labels.tolist() == [2, 1, 2, 1]
    found = detect_image(model, IMAGE, proposals, DetectSettings(threshold_for(model)))
    assert found.scores.tolist() == [1.5]


def test_score_threshold(small_model: FastRCNN) -> None:
    assert threshold_for(small_model) == 0.5
    assert threshold_for(small_model, 0.1) == 0.1
    with pytest.raises(MisuseError, match="score threshold"):
        threshold_for(small_model, -0.5)
    small_model.architecture = replace(small_model.architecture, classifier="svm")
    assert threshold_for(small_model) == 0.0
    assert threshold_for(small_model, -0.5) == -0.5


@pytest.mark.parametrize(("classifier", "threshold"), [("wsddn", 0.05), ("oicr", 0.5)])
def test_score_threshold_of_image_labels(
    small_model: FastRCNN, classifier: Classifier, threshold: float
) -> None:
    """Scores of WSDDN share a sum of 1; evaluation needs all of them."""
    architecture = replace(
        small_model.architecture,
        classifier=classifier,
        box_regression=False,
        refinements=3 if classifier == "oicr" else 0,
    )
    small_model.architecture = architecture
    assert threshold_for(small_model) == threshold
    base = base_experiment("lite")
    stored = override(base, variant_changes(base, [classifier])).detect
    assert settings_for(small_model, stored).score_threshold == threshold
    assert DetectionOptions().for_evaluation(stored, architecture).score_threshold is None


@pytest.mark.parametrize("classifier", ["wsddn", "oicr"])
def test_image_labels_do_not_use_the_sibling_layers(
    small_model: FastRCNN, classifier: Classifier
) -> None:
    settings = TrainSettings(classifier=classifier, box_training="none")
    model = with_weak_head(small_model, settings)
    proposals = Proposals(np.array([[0, 0, 49, 49], [100, 0, 149, 49], [10, 10, 180, 90]]))
    expected = score_boxes(model, IMAGE, proposals)
    for layer in (model.score, model.box):
        for parameter in layer.parameters():
            parameter.data.fill_(torch.nan)
    found = score_boxes(model, IMAGE, proposals)
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))
    assert expected[0].isfinite().all()


def test_offsets_are_denormalised(small_model: FastRCNN) -> None:
    small_model.offset_means.copy_(torch.tensor([[0.0, 0, 0, 0], [0.5, 0, 0, 0]]))
    small_model.offset_deviations.fill_(2.0)
    model = with_outputs(small_model, [[0.0, 0.0, 9.0]], [[0, 0, 0, 0, 0.25, 0, 0, 0]])
    found = detect_image(model, IMAGE, Proposals(np.array([[0, 0, 49, 99]])), DetectSettings())
    assert found.boxes.tolist() == [[50, 0, 99, 99]]


def test_suppression_is_per_class_and_inclusive(small_model: FastRCNN) -> None:
    # With the first, the second has IoU 64 / 136 > 0.3 in its class, the third 55 / 145 > 0.3
    # in another class, the fourth 46 / 154 < 0.3.
    boxes = np.array([[0, 0, 99, 99], [36, 0, 135, 99], [45, 0, 144, 99], [54, 0, 153, 99]])
    logits = [[0.0, 9, -9], [0.0, 8, -9], [0.0, -9, 9], [0.0, 7, -9]]
    found = detect_image(
        with_outputs(small_model, logits), IMAGE, Proposals(boxes), DetectSettings()
    )
    assert sorted(zip(found.labels.tolist(), found.boxes[:, 0].round().tolist(), strict=True)) == [
        (1, 0.0),
        (1, 54.0),
        (2, 45.0),
    ]
    assert found.scores.tolist() == sorted(found.scores.tolist(), reverse=True)


def test_suppression_counts_inclusive_pixels(small_model: FastRCNN) -> None:
    # 10 x 10 boxes shifted by 5: IoU is 50 / 150 = 0.333 with + 1, and 36 / 126 = 0.286 without.
    boxes = np.array([[0, 0, 9, 9], [5, 0, 14, 9]])
    model = with_outputs(small_model, [[0.0, 9, -9], [0.0, 8, -9]])
    image = np.zeros((20, 20, 3), np.uint8)
    found = detect_image(model, image, Proposals(boxes), DetectSettings())
    assert len(found) == 1


def test_threshold_and_top_k(small_model: FastRCNN) -> None:
    boxes = np.array([[x, 0, x + 9, 9] for x in range(0, 200, 20)], np.float32)
    logits = [[0.0, 5 - 0.9 * i, -99] for i in range(10)]
    model = with_outputs(small_model, logits)
    settings = DetectSettings(score_threshold=0.5)
    assert len(detect_image(model, IMAGE, Proposals(boxes), settings)) == 6
    settings = DetectSettings(score_threshold=0.0, top_k=3)
    assert detect_image(model, IMAGE, Proposals(boxes), settings).boxes[:, 0].tolist() == [
        0,
        20,
        40,
    ]


@pytest.mark.parametrize("threshold", [0.0, None])
def test_of_equal_scores_the_first_proposals_are_detected(
    small_model: FastRCNN, threshold: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Scores are margins of both signs, and zero with both signs."""
    windows = "frcnn_cli.engine.detection.views.distinct_windows"
    monkeypatch.setattr(windows, lambda rois, stride: (rois, torch.arange(len(rois))))
    architecture = replace(small_model.architecture, classifier="svm")
    boxes = np.array([[x, 0, x + 1, 9] for x in np.arange(300) / 2], np.float32)
    margins = np.random.default_rng(0).choice([-2.5, -1.5, -0.0, 0.0, 1.5], 300)
    model = with_outputs(small_model, [[0.0, float(margin), -9.0] for margin in margins])
    model.architecture = architecture
    settings = DetectSettings(score_threshold=threshold, nms_iou=1, max_per_class=250, top_k=200)
    found = detect_image(model, IMAGE, Proposals(boxes), settings)
    order = [i for i in sorted(range(300), key=lambda i: (-margins[i], i)) if margins[i] >= 0]
    if threshold is None:
        order = sorted(range(300), key=lambda i: (-margins[i], i))[:200]
    assert found.boxes[:, 0].tolist() == boxes[order, 0].tolist()
    assert found.scores.tolist() == margins[order].tolist()


def test_no_detections_without_proposals(small_model: FastRCNN) -> None:
    assert len(detect_image(small_model, IMAGE, Proposals(np.zeros((0, 4))), DetectSettings())) == 0


def test_windows_round_half_away_from_zero() -> None:
    # 8 / 16 and 7.9 / 16 round apart, 8 / 16 and 9 / 16 together; images are separate.
    rois = torch.tensor(
        [[0, 8.0, 0, 40, 40], [0, 9.0, 0, 40, 40], [0, 7.9, 0, 40, 40], [1, 8.0, 0, 40, 40]]
    )
    distinct, of_window = distinct_windows(rois, 16)
    assert len(distinct) == 3
    assert of_window[0] == of_window[1]
    assert len(set(of_window.tolist())) == 3
    assert torch.equal(distinct[of_window[1]], rois[0])


def test_shared_windows_do_not_change_scores_or_boxes(small_model: FastRCNN) -> None:
    generator = np.random.default_rng(0)
    image = generator.integers(0, 256, (100, 200, 3), np.uint8)
    torch.manual_seed(0)
    small_model.features = nn.Sequential(nn.AvgPool2d(16, ceil_mode=True), nn.Conv2d(3, 128, 1))
    for layer in (small_model.features[1], small_model.fc6, small_model.fc7, small_model.score):
        nn.init.kaiming_normal_(layer.weight)
    corners = generator.uniform(0, 60, (80, 2))
    boxes = np.concatenate([corners, corners + generator.uniform(10, 38, (80, 2))], axis=1)
    together_scores, together_boxes = score_boxes(small_model, image, Proposals(boxes))
    assert together_scores.std(dim=0).min() > 1e-3
    for index in range(0, 80, 9):
        scores, decoded = score_boxes(small_model, image, Proposals(boxes[index : index + 1]))
        assert torch.allclose(scores[0], together_scores[index], atol=1e-4)
        assert torch.allclose(decoded[0], together_boxes[index], atol=0.05)
