"""The network: shapes, initialisation, normalisation of offsets."""

import pytest
import torch

from frcnn_cli.engine.network.backbones.find import find_backbone
from frcnn_cli.engine.network.creation import create_model
from frcnn_cli.engine.network.model import FastRCNN

ROIS = torch.tensor([[0, 0.0, 0, 63, 63], [0, 10, 10, 40, 50], [0, 5, 5, 90, 60]])


def test_outputs_have_the_same_shapes_in_training_and_evaluation(small_model: FastRCNN) -> None:
    images = torch.randn(1, 3, 64, 96)
    for model in (small_model.train(), small_model.eval()):
        outputs = model(images, ROIS)
        assert outputs.logits.shape == (3, 3)
        assert outputs.offsets.shape == (3, 8)


def test_without_rois_the_outputs_are_empty(small_model: FastRCNN) -> None:
    outputs = small_model(torch.randn(1, 3, 64, 96), torch.zeros(0, 5))
    assert outputs.logits.shape == (0, 3)


def test_frozen_layers_have_no_gradient(small_model: FastRCNN) -> None:
    frozen = {n for n, p in small_model.features.named_parameters() if not p.requires_grad}
    assert "stem.weight" in frozen
    assert "stages.1.0.expand.weight" in frozen
    assert "stages.2.0.expand.weight" not in frozen


def test_sibling_layers_are_initialised_as_in_the_paper() -> None:
    model = create_model(find_backbone("efficientnet_lite0"), tuple("abcdefgh"), "none")
    assert model.score.weight.std().item() == pytest.approx(0.01, rel=0.1)
    assert model.box.weight.std().item() == pytest.approx(0.001, rel=0.1)
    assert model.score.bias.abs().sum() + model.box.bias.abs().sum() == 0


def test_one_seed_gives_the_same_network() -> None:
    first, second = (
        create_model(find_backbone("efficientnet_lite0"), ("a",), "none", seed=4) for _ in range(2)
    )
    assert torch.equal(first.fc6.weight, second.fc6.weight)


def test_normalise_and_denormalise_are_inverses(small_model: FastRCNN) -> None:
    small_model.offset_means.copy_(torch.randn(2, 4))
    small_model.offset_deviations.copy_(torch.rand(2, 4) + 0.5)
    targets, labels = torch.randn(5, 4), torch.tensor([1, 2, 2, 1, 2])
    learned = small_model.normalise(targets, labels)
    back = small_model.denormalise(learned.repeat(1, 2)).reshape(5, 2, 4)
    assert torch.allclose(back[torch.arange(5), labels - 1], targets, atol=1e-6)
