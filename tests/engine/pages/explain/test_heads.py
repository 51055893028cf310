"""The numbers of the heads, computed again from the weights with NumPy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torchvision
from made_up_subject import made_up_subject

from frcnn_cli.engine.detection.image import score_boxes
from frcnn_cli.engine.detection.views import rank_proposals
from frcnn_cli.engine.pages.explain.sections.heads import heads_numbers
from frcnn_cli.engine.pages.explain.sections.suppression import suppression_numbers
from frcnn_cli.engine.pages.explain.subject import Subject


@pytest.fixture(scope="module")
def subject() -> Subject:
    return made_up_subject()


def by_hand(subject: Subject) -> dict[str, Any]:
    """The first head in float64, from torchvision's pooled maps."""
    model = subject.model
    weights = {name: value.double().numpy() for name, value in model.state_dict().items()}
    features = subject.feature_map.double()
    pooled = torchvision.ops.roi_pool(features, subject.chosen_rois.double(), (7, 7), 1 / 8)
    x = pooled.flatten(1).numpy()
    layers = {}
    for name in ("fc6", "fc7"):
        x = layers[name] = np.maximum(x @ weights[f"{name}.weight"].T + weights[f"{name}.bias"], 0)
    logits = x @ weights["score.weight"].T + weights["score.bias"]
    exponents = np.exp(logits - logits.max(axis=1, keepdims=True))
    predicted = (x @ weights["box.weight"].T + weights["box.bias"]).reshape(len(x), -1, 4)
    offsets = predicted * weights["offset_deviations"] + weights["offset_means"]
    scores = exponents / exponents.sum(axis=1, keepdims=True)
    return {**layers, "scores": scores, "predicted": predicted, "offsets": offsets}


def moved(box: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """R-CNN, appendix C; corners are inclusive. Clipped to the image of 128 x 96 pixels."""
    size = box[2:] - box[:2] + 1
    centre = box[:2] + size / 2 + offsets[:2] * size
    size = size * np.exp(offsets[2:])
    corners = np.concatenate([centre - size / 2, centre + size / 2 - 1])
    return np.clip(corners, 0, [127, 95, 127, 95])


@pytest.mark.parametrize("count", [300, 30])
def test_layers_scores_and_boxes(count: int) -> None:
    """Up to 40 proposals are all chosen, in another order than that of their source."""
    subject = made_up_subject(count=count)
    assert len(subject.chosen) == min(count, 40)
    numbers, expected = heads_numbers(subject), by_hand(subject)
    assert (numbers["second"], numbers["places"]) == (None, None)
    assert np.allclose(numbers["scores"], expected["scores"], atol=6e-4)
    for name in ("fc6", "fc7"):
        layer, values = numbers[name], expected[name]
        assert layer["size"] == values.shape[1]
        assert layer["active"] == (values > 0).sum(axis=1).tolist()
        for k, row in enumerate(values):
            assert np.allclose(layer["values"][k], np.sort(row)[::-1][:10], rtol=1e-3, atol=1e-4)
            assert np.allclose(row[layer["index"][k]], layer["values"][k], rtol=1e-3, atol=1e-4)
    for k, row in enumerate(subject.chosen):
        label = int(expected["scores"][k, 1:].argmax())
        assert numbers["best"][k] == label + 1
        for name in ("predicted", "offsets"):
            values = expected[name][k, label]
            assert np.allclose(numbers[name][k], values, rtol=1e-3, atol=1e-4)
        box = moved(subject.proposals.boxes[row].astype(np.float64), expected["offsets"][k, label])
        assert np.allclose(numbers["box"][k], box, atol=0.01)
        given = np.multiply(numbers["predicted"][k], numbers["deviations"][k])
        assert np.allclose(given + numbers["means"][k], numbers["offsets"][k], atol=2e-3)


def test_the_second_head_and_the_ranker() -> None:
    subject = made_up_subject(cascade=True, ranker=True)
    numbers = heads_numbers(subject)
    second = numbers["second"]
    first = by_hand(subject)
    assert np.allclose(numbers["scores"], first["scores"], atol=6e-4)
    mean = (np.array(numbers["scores"]) + np.array(second["scores"])) / 2
    assert np.allclose(second["mean"], mean, atol=1.1e-3)
    assert second["best"] == (np.array(second["mean"])[:, 1:].argmax(axis=1) + 1).tolist()
    # The second head reads the box of the first, before it is clipped.
    clipped = np.clip(second["read"], 0, [127, 95, 127, 95])
    assert np.allclose(clipped, numbers["box"], atol=0.02)
    ranked = rank_proposals(
        subject.model, subject.image, subject.proposals.boxes, subject.settings
    ).boxes.tolist()
    boxes = subject.proposals.boxes.tolist()
    assert numbers["places"] == [ranked.index(boxes[row]) + 1 for row in subject.chosen]
    # What detection itself computes for those that the ranker selects.
    scores, decoded = score_boxes(subject.model, subject.image, subject.proposals, subject.settings)
    places = np.sort([boxes.index(box) for box in ranked[:100]]).tolist()
    compared = 0
    for k, row in enumerate(subject.chosen):
        if numbers["places"][k] <= 100:
            place, label = places.index(row), second["best"][k]
            assert np.allclose(scores[place], second["mean"][k], atol=6e-4)
            assert np.allclose(decoded[place, label - 1], second["box"][k], atol=0.01)
            compared += 1
    assert compared > 5


def test_the_second_head_is_the_same_in_both_sections(monkeypatch: pytest.MonkeyPatch) -> None:
    subject = made_up_subject(cascade=True, count=30)
    refined: list[int] = []
    refine = subject.model.refine
    monkeypatch.setattr(
        subject.model,
        "refine",
        lambda rois, *given: (refined.append(len(rois)), refine(rois, *given))[1],
    )
    second = heads_numbers(subject)["second"]
    cascade = suppression_numbers(subject)["cascade"]
    assert [roi["moved"] for roi in cascade] == second["read"]
    assert refined == [30, 30]  # for these RoIs once, and for the candidates of suppression


def test_without_box_regression_the_box_is_the_proposal(subject: Subject) -> None:
    settings = replace(subject.settings, box_regression=False)
    numbers = heads_numbers(replace(subject, settings=settings))
    assert numbers["moves"] is False
    assert np.allclose(numbers["box"], subject.proposals.boxes[list(subject.chosen)], atol=0.01)
