"""The section on the loss, against the paper's equations written out again."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from made_up_subject import CLASSES, TRUTH, made_up_subject

from frcnn_cli.engine.pages.explain.sections.loss import ROLES, loss_numbers
from frcnn_cli.engine.pages.explain.subject import Subject
from frcnn_cli.engine.records import GroundTruth
from frcnn_cli.engine.settings import Architecture


@pytest.fixture(scope="module")
def subject() -> Subject:
    return made_up_subject()


def overlap(a: np.ndarray, b: np.ndarray) -> float:
    sides = np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]) + 1
    shared = np.prod(sides.clip(0))
    return float(shared / (np.prod(a[2:] - a[:2] + 1) + np.prod(b[2:] - b[:2] + 1) - shared))


def offsets(box: np.ndarray, target: np.ndarray) -> np.ndarray:
    size, wanted = box[2:] - box[:2] + 1, target[2:] - target[:2] + 1
    moved = (target[:2] + wanted / 2 - box[:2] - size / 2) / size
    return np.concatenate([moved, np.log(wanted / size)])


SMALL = replace(TRUTH, boxes=TRUTH.boxes * np.float32(0.5))


@pytest.mark.parametrize(
    ("truth", "expected"),
    [(TRUTH, {"foreground", "background"}), (SMALL, {"background", "too far"})],
)
def test_every_chosen_roi_by_the_equations(
    subject: Subject, truth: GroundTruth, expected: set[str]
) -> None:
    numbers = loss_numbers(replace(subject, truth=truth))
    model = subject.model
    means, deviations = model.offset_means.numpy(), model.offset_deviations.numpy()
    roles = set()
    for row, roi in zip(subject.chosen, numbers["rois"], strict=True):
        box = subject.proposals.boxes[row].astype(np.float64)
        trainable = [overlap(box, target) for target in truth.boxes[:2]]
        best = int(np.argmax(trainable))
        iou, label = trainable[best], int(truth.labels[best])
        on_difficult = overlap(box, truth.boxes[2]) >= 0.5 > iou
        if on_difficult:
            role = "ignored"
        else:
            role = "foreground" if iou >= 0.5 else "background" if iou >= 0.1 else "too far"
        roles.add(role)
        assert roi["role"] == role
        assert roi["iou"] == pytest.approx(iou, rel=1e-3, abs=1e-6)
        if role in ("too far", "ignored"):
            assert roi["classification"] is None
            continue
        u = label if role == "foreground" else 0
        logits = subject.outputs.logits[row].double().numpy()
        p = np.exp(logits[u]) / np.exp(logits).sum()
        assert roi["label"] == (CLASSES[u - 1] if u else "background")
        assert roi["p"] == pytest.approx(p, rel=1e-3)
        assert roi["classification"] == pytest.approx(-np.log(p), rel=1e-3, abs=1e-6)
        if u == 0:
            assert "t" not in roi
            continue
        v = offsets(box, truth.boxes[best])
        t = subject.outputs.offsets[row].double().numpy().reshape(-1, 4)[u - 1]
        close = {"rel": 1e-3, "abs": 1e-4}
        assert roi["v"] == pytest.approx(v, **close)
        assert roi["v_normalised"] == pytest.approx((v - means[u - 1]) / deviations[u - 1], **close)
        assert roi["t_normalised"] == pytest.approx(t, **close)
        assert roi["t"] == pytest.approx(t * deviations[u - 1] + means[u - 1], **close)
        x = t - (v - means[u - 1]) / deviations[u - 1]
        smooth = np.where(np.abs(x) < 1, 0.5 * x**2, np.abs(x) - 0.5)
        assert roi["x"] == pytest.approx(x, **close)
        assert roi["smooth_l1"] == pytest.approx(smooth, **close)
        assert roi["l2"] == pytest.approx(0.5 * x**2, **close)
        assert roi["box_regression"] == pytest.approx(smooth.sum(), **close)
        assert offsets(box, np.array(roi["box"])) == pytest.approx(roi["t"], abs=0.01)
    assert roles == expected
    assert numbers["lambda"] == 1


def test_roles_count_the_objects_and_all_proposals(subject: Subject) -> None:
    numbers = loss_numbers(subject)
    assert tuple(numbers["roles"]) == ROLES
    assert numbers["objects"] == 2  # a difficult object is not a candidate
    assert sum(numbers["roles"].values()) == 2 + len(subject.proposals)
    by_role = [roi["role"] for roi in numbers["rois"]]
    assert all(by_role.count(role) <= numbers["roles"][role] for role in ROLES)


def test_the_sample_is_a_quarter_foreground_and_its_loss_the_sum(subject: Subject) -> None:
    sample = loss_numbers(subject)["sample"]
    assert sample["rois"] == 64
    assert 1 <= sample["foreground"] <= 16
    total = sample["classification"] + sample["box_regression"]
    assert sample["total"] == pytest.approx(total, rel=1e-3)


def test_both_curves_reach_the_largest_difference(subject: Subject) -> None:
    numbers = loss_numbers(subject)
    x, smooth = (np.array(numbers["curve"][name]) for name in ("x", "smooth_l1"))
    assert smooth == pytest.approx(np.where(abs(x) < 1, x**2 / 2, abs(x) - 0.5), abs=2e-3)
    largest = max(abs(value) for roi in numbers["rois"] for value in roi.get("x", [0]))
    assert x.max() == -x.min() == max(2, np.ceil(largest))


def test_on_a_difficult_object_a_roi_is_ignored() -> None:
    subject = made_up_subject()
    row = subject.chosen[0]
    truth = GroundTruth(
        np.stack([subject.proposals.boxes[row], np.array([100, 80, 120, 95], np.float32)]),
        np.array([1, 2]),
        np.array([True, False]),
    )
    roi = loss_numbers(replace(subject, truth=truth))["rois"][0]
    assert roi["role"] == "ignored"
    assert roi["classification"] is None


def test_an_image_without_objects_has_only_background(subject: Subject) -> None:
    numbers = loss_numbers(replace(subject, truth=GroundTruth()))
    assert numbers["roles"] == {
        "foreground": 0,
        "background": 300,
        "too far": 0,
        "ignored": 0,
    }
    assert {roi["role"] for roi in numbers["rois"]} == {"background"}
    assert numbers["sample"]["box_regression"] == 0
    json.dumps(numbers, allow_nan=False)


def test_what_is_missing_is_said(subject: Subject) -> None:
    assert "--truth FILE.xml" in loss_numbers(replace(subject, truth=None))["missing"]
    assert "SVMs" in loss_numbers(with_classifier(subject, classifier="svm"))["missing"]
    weak = with_classifier(subject, classifier="wsddn", box_regression=False)
    assert "image labels" in loss_numbers(weak)["missing"]


def test_without_box_regression_only_the_classes_count(subject: Subject) -> None:
    numbers = loss_numbers(with_classifier(subject, box_regression=False))
    assert numbers["lambda"] == 0
    assert numbers["sample"]["total"] == numbers["sample"]["classification"]
    assert numbers["sample"]["box_regression"] > 0


def with_classifier(subject: Subject, **changes: object) -> Subject:
    """A subject whose model claims another classifier."""
    model = made_up_subject().model
    architecture: Architecture = replace(model.architecture, **changes)  # type: ignore[arg-type]
    model.architecture = architecture
    return replace(subject, model=model)
