"""Training that starts from a detector: kept rows, new rows, and unchanged box predictions."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from frcnn_cli.engine.compression.layers import compress
from frcnn_cli.engine.models.initial import (
    initial_model,
    renormalise_boxes,
    with_classes,
    with_parts,
)
from frcnn_cli.engine.models.store import save_model
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.settings import Experiment
from frcnn_proposals.errors import MisuseError


@pytest.fixture
def trained(small_model: FastRCNN) -> FastRCNN:
    small_model.offset_means.copy_(torch.tensor([[0.1, 0, 0, 0], [0, 0.2, 0, 0]]))
    small_model.offset_deviations.fill_(0.5)
    return small_model


def test_classes_of_the_same_name_keep_their_rows(trained: FastRCNN) -> None:
    """cat, dog become bird, dog, cow: background and dog keep their rows at any position."""
    changed = with_classes(trained, ("bird", "dog", "cow"), seed=1)
    assert changed.architecture.classes == ("bird", "dog", "cow")
    assert torch.equal(changed.score.weight[[0, 2]], trained.score.weight[[0, 2]])
    assert torch.equal(changed.score.bias[[0, 2]], trained.score.bias[[0, 2]])
    assert torch.equal(changed.box.weight[4:8], trained.box.weight[4:8])
    assert torch.equal(changed.box.bias[4:8], trained.box.bias[4:8])
    assert changed.score.bias[[1, 3]].abs().max() == 0
    assert 0 < changed.score.weight[[1, 3]].std() < 0.02
    assert 0 < changed.box.weight[:4].std() < 0.002
    assert torch.equal(changed.offset_means[1], trained.offset_means[1])
    assert torch.equal(changed.offset_deviations[0], torch.ones(4))
    for name, value in trained.state_dict().items():
        if name.startswith(("features", "fc")):
            assert torch.equal(changed.state_dict()[name], value)


def test_classes_in_another_order_detect_the_same(trained: FastRCNN) -> None:
    swapped = with_classes(trained, ("dog", "cat"), seed=1).eval()
    pooled = torch.randn(5, 128, 7, 7, generator=torch.Generator().manual_seed(0))
    ours, theirs = swapped.head(pooled), trained.head(pooled)
    assert torch.allclose(ours.logits, theirs.logits[:, [0, 2, 1]])
    boxes = trained.denormalise(theirs.offsets)
    assert torch.allclose(
        swapped.denormalise(ours.offsets), boxes.reshape(5, 2, 4).flip(1).reshape(5, 8)
    )


def test_the_second_head_keeps_the_rows_of_its_classes_too(small_model: FastRCNN) -> None:
    architecture = replace(small_model.architecture, cascade=True, ranker=True)
    model = FastRCNN(architecture).eval()
    assert model.second is not None
    model.second.offset_deviations.copy_(torch.rand(2, 4))
    swapped = with_classes(model, ("dog", "cat"), seed=1).eval()
    assert swapped.second is not None
    pooled = torch.randn(5, 128, 7, 7, generator=torch.Generator().manual_seed(0))
    ours, theirs = swapped.second.head(pooled), model.second.head(pooled)
    assert torch.allclose(ours.logits, theirs.logits[:, [0, 2, 1]])
    boxes = model.second.denormalise(theirs.offsets)
    assert torch.allclose(
        swapped.second.denormalise(ours.offsets), boxes.reshape(5, 2, 4).flip(1).reshape(5, 8)
    )
    before, after = model.state_dict(), swapped.state_dict()
    for name in before:
        if name.startswith(("ranker.", "second.fc")):
            assert torch.equal(before[name], after[name])


def test_missing_parts_are_added_and_the_second_head_starts_from_the_first(
    trained: FastRCNN,
) -> None:
    thin = compress(trained, {"fc6": 5}).model
    both = with_parts(thin, cascade=True, ranker=True, seed=1)
    assert both.architecture.ranks == {"fc6": 5, "second.fc6": 5}
    assert both.ranker is not None
    before, after = thin.state_dict(), both.state_dict()
    for name, value in before.items():
        assert torch.equal(after[name], value)
        if name.startswith("fc"):
            assert torch.equal(after[f"second.{name}"], value)
    assert 0 < after["second.score.weight"].std() < 0.02
    assert with_parts(both, cascade=True, ranker=False, seed=1) is both


def test_new_statistics_do_not_change_the_predicted_offsets(trained: FastRCNN) -> None:
    pooled = torch.randn(5, 128, 7, 7, generator=torch.Generator().manual_seed(0))
    before = trained.denormalise(trained.head(pooled).offsets)
    means, deviations = torch.full((2, 4), -0.3), torch.full((2, 4), 0.1)
    renormalise_boxes(trained, means, deviations)
    assert torch.equal(trained.offset_means, means)
    assert torch.allclose(trained.denormalise(trained.head(pooled).offsets), before, atol=1e-6)


def test_untrained_rows_keep_their_initial_values(small_model: FastRCNN) -> None:
    weight, bias = small_model.box.weight.clone(), small_model.box.bias.clone()
    renormalise_boxes(small_model, torch.full((2, 4), 0.3), torch.full((2, 4), 0.1))
    assert torch.equal(small_model.box.weight, weight)
    assert torch.equal(small_model.box.bias, bias)


def start_from(path: Path, backbone: str = "efficientnet_lite0", **settings: Any) -> Experiment:
    return Experiment(init=str(path), backbone=backbone, **settings)


def test_training_starts_from_a_detector_at_another_scale(
    trained: FastRCNN, tmp_path: Path
) -> None:
    save_model(trained, tmp_path / "a.safetensors", {})
    preprocessing = trained.architecture.preprocessing.at_scale(48)
    experiment = start_from(tmp_path / "a.safetensors", preprocessing=preprocessing)
    model = initial_model(experiment, ("dog", "cow"))
    assert model.architecture.preprocessing.scale == 48
    assert torch.equal(model.fc6.weight, trained.fc6.weight)
    assert torch.equal(model.score.weight[1], trained.score.weight[2])


def test_another_backbone_is_rejected(trained: FastRCNN, tmp_path: Path) -> None:
    save_model(trained, tmp_path / "a.safetensors", {})
    experiment = start_from(tmp_path / "a.safetensors", backbone="vgg16")
    with pytest.raises(MisuseError, match="has backbone efficientnet_lite0, not vgg16"):
        initial_model(experiment, ("cat", "dog"))


def test_the_error_for_a_detector_as_weights_suggests_init(
    trained: FastRCNN, tmp_path: Path
) -> None:
    save_model(trained, tmp_path / "a.safetensors", {})
    experiment = replace(Experiment(), weights=str(tmp_path / "a.safetensors"))
    with pytest.raises(MisuseError, match="Use --init"):
        initial_model(experiment, ("cat", "dog"))


def test_training_does_not_continue_from_the_margins_of_svms(
    trained: FastRCNN, tmp_path: Path
) -> None:
    trained.architecture = replace(trained.architecture, classifier="svm")
    with torch.no_grad():
        trained.score.weight.fill_(7.0)
    save_model(trained, tmp_path / "a.safetensors", {})
    model = initial_model(start_from(tmp_path / "a.safetensors"), ("cat", "dog"))
    assert model.architecture.classifier == "softmax"
    assert 0 < model.score.weight.abs().max() < 0.1
    assert torch.equal(model.box.weight, trained.box.weight)
