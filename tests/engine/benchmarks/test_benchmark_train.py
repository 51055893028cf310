"""The benchmark of training: both contestants train on the same mini-batches."""

from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path

import pytest
import torch

from frcnn_cli.engine.benchmarks import train
from frcnn_cli.engine.benchmarks.baselines import PlainTraining
from frcnn_cli.engine.benchmarks.cases import STEP_OPTIONS, TrainingCase
from frcnn_cli.engine.benchmarks.train import benchmark_step_options, benchmark_training
from frcnn_cli.engine.network.backbones.find import find_backbone
from frcnn_cli.engine.network.creation import create_model
from frcnn_cli.engine.network.layers.depthwise import DepthwiseConv2d
from frcnn_cli.engine.network.layers.relu6 import InPlaceReLU6
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.records import Dataset
from frcnn_cli.engine.training.minibatches import Minibatch
from frcnn_cli.engine.training.run import Run
from frcnn_cli.engine.training.step import train_step


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_both_have_the_same_loss_on_the_same_rois(precision: str) -> None:
    case = TrainingCase("small", "lite", precision, scale=64)
    (result,) = benchmark_training((case,), rounds=1, steps=1)
    ours, theirs = result.losses
    assert ours == pytest.approx(theirs, rel=1e-3 if precision == "float32" else 2e-2)
    assert result.ratio == result.torchvision_s / result.ours_s
    assert all(seconds > 0 for seconds in vars(result.stages).values())
    assert {"name", "ours_s", "torchvision_s", "ratio", "stages"} <= set(result.to_json())


def test_training_from_image_labels_is_timed_beside_training_from_boxes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """On the same images: 128 or fewer sampled RoIs of each, or its first 1,000 proposals."""
    steps: list[tuple[str, int, bool]] = []

    def recorded(model: FastRCNN, minibatch: Iterator[Minibatch], *rest: object, **more: object):
        shares = list(minibatch)
        rois = max(int(torch.bincount(share.rois[:, 0].long()).max()) for share in shares)
        with_labels = all(share.image_labels is not None for share in shares)
        steps.append((model.architecture.classifier, rois, with_labels))
        return train_step(model, shares, *rest, **more)

    monkeypatch.setattr(train, "train_step", recorded)
    case = TrainingCase("small", "lite", "float32", scale=64, backbone="efficientnet_lite0")
    options = [option for option in STEP_OPTIONS if option.name in ("usual", "oicr")]
    times = benchmark_step_options(case, options, rounds=1, steps=1)
    assert [time.name for time in times] == ["usual", "oicr"]
    assert times[1].ratio == times[0].seconds / times[1].seconds
    assert {step for step in steps if step[0] == "oicr"} == {("oicr", 1000, True)}
    supervised = [step for step in steps if step[0] == "softmax"]
    assert len(supervised) == 2
    assert all(rois <= 128 and not with_labels for _, rois, with_labels in supervised)


def test_the_plain_loop_uses_the_layers_of_torch() -> None:
    model = create_model(find_backbone("efficientnet_lite0"), ("cat",), "none")
    plain = PlainTraining(deepcopy(model), Run(Path(), Dataset("none", "train", ("cat",), ()), {}))
    ours = {DepthwiseConv2d, InPlaceReLU6}
    assert ours <= {type(layer) for layer in model.modules()}
    assert not ours & {type(layer) for layer in plain.model.modules()}
    images = torch.rand(1, 3, 64, 80, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.allclose(model.features(images), plain.model.features(images), atol=1e-5)
