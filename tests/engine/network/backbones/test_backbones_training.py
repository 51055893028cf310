"""Every backbone can be trained, saved and loaded."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from frcnn_cli.engine.detection.prepare import prepare_model
from frcnn_cli.engine.models.store import load_model, save_model
from frcnn_cli.engine.network.backbones.defaults import DEFAULTS
from frcnn_cli.engine.network.backbones.find import find_backbone
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.settings import Architecture, Precision, Schedule
from frcnn_cli.engine.training.loop import train_step
from frcnn_cli.engine.training.minibatches import Minibatch
from frcnn_cli.engine.training.optimizer import make_optimizer

NAMES = [
    *DEFAULTS,
    "torchvision:resnet18",
    "torchvision:convnext_tiny",
    "torchvision:mobilenet_v3_small",
    "torchvision:regnet_y_400mf",
    "torchvision:googlenet",
]


def small(name: str) -> FastRCNN:
    """The network with a very small head."""
    torch.manual_seed(0)
    backbone = find_backbone(name)
    preprocessing = backbone.preprocessing.at_scale(64)
    model = FastRCNN(Architecture(name, ("a", "b"), (8, 8), preprocessing))
    return model.to(memory_format=torch.channels_last)  # as in every created or loaded model


@pytest.mark.parametrize("name", NAMES)
def test_a_step_changes_only_trained_parameters(name: str, tmp_path: Path) -> None:
    model = small(name).train()
    batch = Minibatch(
        images=torch.randn(2, 3, 64, 96),
        rois=torch.tensor([[0, 4.0, 4, 60, 50], [1, 0, 0, 90, 60], [1, 30, 8, 80, 40]]),
        labels=torch.tensor([1, 2, 0]),
        targets=torch.randn(3, 4),
        image_ids=("1", "2"),
        unreadable=(),
    )
    before = {name: value.clone() for name, value in model.state_dict().items()}
    train_step(model, [batch], make_optimizer(model, Schedule()), rate=0.01)
    moved = {n for n, value in model.state_dict().items() if not torch.equal(value, before[n])}
    frozen = {n for n, p in model.named_parameters() if not p.requires_grad}
    trained = {n for n, p in model.named_parameters() if p.requires_grad}
    assert frozen
    assert not moved & frozen
    assert moved <= trained, "buffers, such as the statistics of a batch norm, do not change"
    assert len(moved) > 0.5 * len(trained)

    model.eval()
    save_model(model, tmp_path / "model.safetensors", {})
    loaded, _ = load_model(tmp_path / "model.safetensors")
    assert loaded.architecture == model.architecture
    with torch.inference_mode():
        first, second = (m(batch.images, batch.rois) for m in (model, loaded))
    assert torch.equal(first.logits, second.logits)
    assert torch.equal(first.offsets, second.offsets)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", NAMES)
@torch.inference_mode()
def test_prepared_for_detection_it_computes_the_same_map(name: str, precision: Precision) -> None:
    model = small(name).eval()
    images = torch.randn(1, 3, 64, 96)
    expected = model.features(images)
    prepared = prepare_model(model, precision)
    found = prepared.features(images.to(prepared.dtype))
    assert found.dtype == prepared.dtype
    tolerance = 1e-4 if precision == "float32" else 0.05
    assert (found.float() - expected).abs().max() < tolerance * expected.abs().max()
