"""The second head and the ranker as parts of the network, with values worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from frcnn_cli.engine.network.layer_costs import layer_costs
from frcnn_cli.engine.network.layers.ranker import Ranker
from frcnn_cli.engine.network.model import FastRCNN, parameter_count
from frcnn_cli.engine.settings import Architecture
from frcnn_kernels import roi_pool
from frcnn_proposals.errors import MisuseError


def with_both(model: FastRCNN) -> FastRCNN:
    torch.manual_seed(0)
    return FastRCNN(replace(model.architecture, cascade=True, ranker=True)).eval()


def test_the_layers_of_a_plain_network_keep_names_and_initial_weights(
    small_model: FastRCNN,
) -> None:
    plain, both = small_model.state_dict(), with_both(small_model).state_dict()
    others = {name for name in both if name not in plain}
    assert {name.split(".")[0] for name in others} == {"second", "ranker"}
    layers = {n.removeprefix("second.") for n in others if n.startswith("second.")}
    assert layers == {n for n in plain if not n.startswith("features.")}
    for name in plain:
        assert torch.equal(plain[name], both[name]), name


def test_a_roi_moves_to_the_box_of_its_most_probable_class(small_model: FastRCNN) -> None:
    model = with_both(small_model)
    model.offset_deviations[:] = torch.tensor([[0.5, 0.5, 1, 1], [0.1, 0.1, 0.2, 0.2]])
    model.offset_means[1, 2] = np.log(2.0)
    rois = torch.tensor([[0, 10.0, 10, 29, 49], [1, 0, 0, 9, 9]])
    logits = torch.tensor([[9.0, 0.0, 1.0], [0.0, 3.0, 2.0]])  # classes 2 and 1: 0 is background
    offsets = torch.tensor([[9, 9, 9, 9, 1.0, -2.0, 0, 0], [0.4, 0, 0, 0, 7, 7, 7, 7.0]])
    moved = model.refine(rois, logits, offsets)
    # 20 x 40 around (20, 30): the centre moves by (0.1 x 20, -0.2 x 40), the width doubles.
    assert moved[0].tolist() == pytest.approx([0, 22 - 20, 22 - 20, 22 + 19, 22 + 19])
    # 10 x 10: 0.4 x 0.5 of its width to the right.
    assert moved[1].tolist() == pytest.approx([1, 2, 0, 11, 9])


def test_a_roi_whose_box_is_not_finite_stays(small_model: FastRCNN) -> None:
    rois = torch.tensor([[0, 10.0, 10, 29, 49]])
    for value in (float("nan"), float("inf")):
        offsets = torch.full((1, 8), value)
        assert torch.equal(small_model.refine(rois, torch.zeros(1, 3), offsets), rois)


def test_the_second_head_reads_the_moved_rois(small_model: FastRCNN) -> None:
    model = with_both(small_model)
    images, rois = torch.randn(1, 3, 64, 96), torch.tensor([[0, 0.0, 0, 63, 63], [0, 9, 9, 40, 50]])
    outputs = model(images, rois, candidates=rois)
    assert outputs.refined is not None
    assert model.second is not None
    moved = model.refine(rois, outputs.logits, outputs.offsets)
    feature_map = model.features(images)
    expected = model.second.head(model.pool(feature_map, moved))
    assert torch.equal(outputs.refined.rois, moved)
    assert torch.allclose(outputs.refined.logits, expected.logits, atol=1e-6)
    assert torch.allclose(outputs.refined.offsets, expected.offsets, atol=1e-6)


def test_the_ranker_by_hand(small_model: FastRCNN) -> None:
    model = with_both(small_model)
    assert isinstance(model.ranker, Ranker)
    feature_map, rois = torch.rand(1, 128, 8, 12), torch.tensor([[0, 0.0, 0, 63, 63]])
    pooled = roi_pool(feature_map, rois, (3, 3), 1.0 / model.stride).numpy().reshape(-1)
    hidden, last = model.ranker.hidden, model.ranker.objectness
    units = np.maximum(hidden.weight.detach().numpy() @ pooled + hidden.bias.detach().numpy(), 0)
    expected = last.weight.detach().numpy() @ units + last.bias.detach().numpy()
    with torch.no_grad():
        assert model.objectness(feature_map, rois).tolist() == pytest.approx(expected, abs=1e-5)


def test_costs_of_the_parts_by_hand(small_model: FastRCNN) -> None:
    costs = layer_costs(with_both(small_model).architecture)
    layers = {layer.name: layer for layer in costs.layers}
    assert layers["ranker.hidden"].multiply_adds == 128 * 9 * 48
    assert layers["ranker.objectness"].multiply_adds == 48
    ranker = 128 * 9 * 48 + 48
    head = sum(layers[n].multiply_adds for n in ("fc6", "fc7", "score", "box"))
    second = sum(layers[f"second.{n}"].multiply_adds for n in ("fc6", "fc7", "score", "box"))
    # Its box layer has 4 outputs for all classes together.
    others = 4 * (len(small_model.architecture.classes) - 1)
    assert second == head - others * small_model.architecture.hidden[1]
    image = costs.multiply_adds(0)
    assert costs.multiply_adds(2000) == image + 2000 * ranker + 300 * (head + second)
    assert costs.multiply_adds(2000, best=500) == image + 2000 * ranker + 500 * (head + second)
    assert costs.parameters == parameter_count(with_both(small_model))
    alone = layer_costs(replace(small_model.architecture, cascade=True))
    assert alone.multiply_adds(2000) == image + 2000 * head + 300 * second


def test_a_second_head_requires_box_regression_and_a_softmax(small_model: FastRCNN) -> None:
    architecture: Architecture = small_model.architecture
    for change in ({"box_regression": False}, {"classifier": "svm"}):
        with pytest.raises(MisuseError, match="second head requires"):
            replace(architecture, cascade=True, **change)
