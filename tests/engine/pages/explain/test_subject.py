"""What the sections get: the network's own input, outputs and detections."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from frcnn_cli.engine.detection.image import detect_image, score_boxes
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.network.transforms import batch_images, image_tensor
from frcnn_cli.engine.pages.explain.subject import make_subject
from frcnn_cli.engine.settings import DetectSettings
from frcnn_proposals.base import Proposals
from frcnn_proposals.errors import InputError
from frcnn_proposals.sources.dense import DenseBoxes

IMAGE = np.random.default_rng(0).integers(0, 256, (96, 128, 3), np.uint8)
PROPOSALS = DenseBoxes().propose(IMAGE).top(200)
SETTINGS = DetectSettings(score_threshold=0.05, scales=(64, 80), flip=True)


def test_the_subject_is_what_detection_computes(small_model: FastRCNN) -> None:
    subject = make_subject(small_model, IMAGE, PROPOSALS, SETTINGS)
    tensor, factor = image_tensor(IMAGE, small_model.architecture.preprocessing)
    with torch.no_grad():
        assert torch.equal(subject.feature_map, small_model.features(batch_images([tensor])))
        outputs = small_model(batch_images([tensor]), subject.rois)
    assert subject.scale == factor == 64 / 96
    expected = torch.from_numpy(PROPOSALS.boxes * np.float32(factor))
    assert torch.equal(subject.rois[:, 1:], expected)
    assert torch.allclose(subject.outputs.logits, outputs.logits, atol=1e-5)
    single = DetectSettings(score_threshold=0.05)
    assert torch.equal(subject.scores, score_boxes(small_model, IMAGE, PROPOSALS, single)[0])
    found = detect_image(small_model, IMAGE, PROPOSALS, single)
    assert len(found) == len(subject.detections) > 0
    assert np.array_equal(found.boxes, subject.detections.boxes)
    assert torch.equal(subject.chosen_rois, subject.rois[list(subject.chosen)])
    assert len(subject.reasons) == len(subject.chosen) == 40


def test_the_feature_map_can_have_gradients(small_model: FastRCNN) -> None:
    subject = make_subject(small_model, IMAGE, PROPOSALS)
    features = subject.feature_map.requires_grad_()
    small_model.pool(features, subject.chosen_rois).sum().backward()
    assert features.grad is not None
    assert features.grad.sum() > 0


def test_without_proposals_there_is_an_error(small_model: FastRCNN) -> None:
    with pytest.raises(InputError, match=r"street: there are no proposals.*\n.*--source dense"):
        make_subject(small_model, IMAGE, Proposals([]), image_id="street")
