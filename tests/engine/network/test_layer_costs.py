"""Costs of layers, compared with numbers computed by hand."""

from __future__ import annotations

import torch

from frcnn_cli.engine.network.backbones.find import find_backbone
from frcnn_cli.engine.network.layer_costs import NetworkCost, layer_costs
from frcnn_cli.engine.network.model import FastRCNN, parameter_count
from frcnn_cli.engine.settings import Architecture


def costs_of(name: str, ranks: dict[str, int] | None = None) -> NetworkCost:
    backbone = find_backbone(name)
    return layer_costs(
        Architecture(name, tuple("abc"), backbone.hidden, backbone.preprocessing, ranks=ranks or {})
    )


def test_costs_of_vgg16_by_hand() -> None:
    costs = costs_of("vgg16")
    layers = {layer.name: layer for layer in costs.layers}
    convolutions = [layer for layer in costs.layers if layer.kind == "Conv2d"]
    assert costs.input == (600, 1000)
    # conv1_1 sums 3 x 3 x 3 products for each of 64 x 600 x 1000 numbers.
    assert convolutions[0].output == (64, 600, 1000)
    assert convolutions[0].multiply_adds == 600 * 1000 * 64 * 27
    assert convolutions[0].parameters == 64 * 27 + 64
    assert layers["roi_pool"].output == (512, 7, 7)
    assert layers["fc6"].multiply_adds == 25088 * 4096  # 102.8 M
    assert layers["fc6"].parameters == 25088 * 4096 + 4096
    assert layers["fc7"].multiply_adds == 4096 * 4096
    assert layers["score"].multiply_adds == 4096 * 4
    assert layers["box"].multiply_adds == 4096 * 12
    per_roi = 4096 * (25088 + 4096 + 4 + 12)
    per_image = sum(layer.multiply_adds for layer in convolutions)
    assert costs.multiply_adds(rois=0) == per_image
    assert costs.multiply_adds(rois=2000) == per_image + 2000 * per_roi


def test_a_layer_in_two_parts_costs_less() -> None:
    layers = {layer.name: layer for layer in costs_of("vgg16", {"fc6": 1024}).layers}
    assert layers["fc6.first"].multiply_adds == 25088 * 1024
    assert layers["fc6.first"].parameters == 25088 * 1024  # no bias
    assert layers["fc6.second"].multiply_adds == 1024 * 4096
    assert "fc6" not in layers


def test_all_and_frozen_parameters_are_those_of_the_model(small_model: FastRCNN) -> None:
    costs = layer_costs(small_model.architecture)
    assert costs.parameters == parameter_count(small_model)
    frozen = [p.numel() for p in small_model.parameters() if not p.requires_grad]
    assert costs.frozen_parameters == sum(frozen)


def test_nothing_is_computed_and_the_generator_is_unchanged(small_model: FastRCNN) -> None:
    before = torch.get_rng_state()
    layer_costs(small_model.architecture, image_size=(10**5, 10**5))
    assert torch.equal(torch.get_rng_state(), before)
