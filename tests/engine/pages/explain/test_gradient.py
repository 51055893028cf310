"""The section on the backward pass, against torchvision's RoI pooling and the reference."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import torchvision
from made_up_subject import ARCHITECTURE, CLASSES, made_up_subject

from frcnn_cli.engine.boxes import iou_matrix
from frcnn_cli.engine.network.losses import multi_task_loss
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.pages.explain.sample import draw_sample
from frcnn_cli.engine.pages.explain.sections.field import field_numbers
from frcnn_cli.engine.pages.explain.sections.gradient import CHANNELS, gradient_numbers
from frcnn_cli.engine.pages.explain.sections.loss import loss_numbers
from frcnn_cli.engine.pages.explain.subject import Subject, make_subject
from frcnn_kernels.reference import roi_pool_reference
from frcnn_proposals.base import Proposals


@pytest.fixture(scope="module")
def subject() -> Subject:
    return made_up_subject()


def sampled_rois(subject: Subject) -> torch.Tensor:
    boxes = torch.from_numpy(draw_sample(subject).boxes * np.float32(subject.scale))
    return torch.cat([torch.zeros(len(boxes), 1), boxes], dim=1)


@pytest.mark.parametrize("has_truth", [True, False])
def test_counts_are_those_of_the_reference(has_truth: bool) -> None:
    subject = made_up_subject(has_truth=has_truth)
    numbers = gradient_numbers(subject)
    feature_map = subject.feature_map.detach()
    _, argmax = roi_pool_reference(feature_map, sampled_rois(subject), (7, 7), 1 / 8)
    height, width = feature_map.shape[2:]
    cells = argmax[argmax >= 0].numpy()
    expected = np.bincount(cells, minlength=height * width).reshape(height, width)
    assert numbers["counts"] == expected.tolist()
    assert numbers["outputs"] == argmax.numel() == 64 * 128 * 49
    assert numbers["empty"] == argmax.numel() - len(cells)
    for channel in numbers["channels"]:
        assert channel["argmax"] == argmax[:, channel["channel"]].flatten(1).tolist()


def test_the_terms_of_each_cell_sum_to_its_gradient(subject: Subject) -> None:
    """dL/dx of torchvision's operator, for all cells of the page's channels."""
    numbers = gradient_numbers(subject)
    model, sample = subject.model, draw_sample(subject)
    feature_map = subject.feature_map.detach().clone().requires_grad_()
    pooled = torchvision.ops.roi_pool(feature_map, sampled_rois(subject), (7, 7), 1 / 8)
    outputs = model.head(pooled)
    labels = torch.from_numpy(sample.labels)
    targets = model.normalise(torch.from_numpy(sample.targets), labels)
    multi_task_loss(outputs.logits, outputs.offsets, labels, targets).total.backward()
    assert feature_map.grad is not None
    unit = 10.0 ** numbers["unit"]
    assert len(numbers["channels"]) == CHANNELS
    for channel in numbers["channels"]:
        terms, cells = np.array(channel["gradient"]).ravel(), np.array(channel["argmax"]).ravel()
        sums = np.bincount(cells[cells >= 0], terms[cells >= 0], minlength=12 * 16)
        expected = feature_map.grad[0, channel["channel"]].flatten().numpy() / unit
        terms_of_cell = np.bincount(cells[cells >= 0], minlength=12 * 16)
        assert (np.abs(sums - expected) <= 0.01 + 0.005 * terms_of_cell).all()
        assert np.abs(terms).max() > 0
    largest = max(abs(np.array(c["gradient"])).max() for c in numbers["channels"])
    assert largest < 1000


def test_the_sample_has_the_classes_of_its_objects(subject: Subject) -> None:
    rois = gradient_numbers(subject)["rois"]
    assert len(rois) == 64
    assert subject.truth is not None
    for roi in rois:
        overlap = iou_matrix(np.array([roi["box"]]), subject.truth.boxes[:2].astype(float))[0]
        best = int(overlap.argmax())
        is_foreground = overlap[best] >= 0.5
        expected = CLASSES[subject.truth.labels[best] - 1] if is_foreground else "background"
        assert roi["label"] == expected


def test_without_ground_truth_there_are_places_but_no_values() -> None:
    subject = made_up_subject(has_truth=False)
    numbers = gradient_numbers(subject)
    assert "--truth" in numbers["missing"]
    assert len(numbers["rois"]) == 64
    assert {roi["label"] for roi in numbers["rois"]} == {None}
    assert {channel["gradient"] for channel in numbers["channels"]} == {None}
    assert np.sum(numbers["counts"]) > 0
    json.dumps(numbers, allow_nan=False)


def test_a_network_of_image_labels_has_places_but_no_values() -> None:
    architecture = replace(ARCHITECTURE, classifier="wsddn", box_regression=False)
    model = FastRCNN(architecture).eval()
    subject = made_up_subject()
    truth = subject.truth
    weak = make_subject(model, subject.image, subject.proposals, truth=truth)
    numbers = gradient_numbers(weak)
    assert "image labels" in numbers["missing"]
    assert np.sum(numbers["counts"]) == numbers["outputs"] - numbers["empty"]
    assert "image labels" in loss_numbers(weak)["missing"]
    assert len(field_numbers(weak)["fields"]) == 40


def test_few_proposals_are_all_in_the_sample() -> None:
    subject = made_up_subject(has_truth=False)
    few = replace(subject, proposals=Proposals(subject.proposals.boxes[:5]))
    assert len(gradient_numbers(few)["rois"]) == 5


def test_the_page_leaves_the_model_and_its_map_as_they_are() -> None:
    subject = made_up_subject()
    before = subject.feature_map.clone()
    gradient_numbers(subject)
    assert torch.equal(subject.feature_map, before)
    assert not subject.feature_map.requires_grad
    assert all(parameter.grad is None for parameter in subject.model.parameters())
