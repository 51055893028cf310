"""`frcnn model info` for backbones, models, and invalid names."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result

from frcnn_cli.cli import cli
from frcnn_cli.engine.models.file import save_tensors
from frcnn_cli.engine.models.store import save_model
from frcnn_cli.engine.network.backbones.find import find_backbone
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.settings import Architecture


def info(*arguments: object) -> Result:
    return CliRunner().invoke(cli, ["model", "info", *map(str, arguments)])


def info_json(tmp_path: Path, *arguments: object) -> dict[str, Any]:
    result = info(*arguments, "--json", tmp_path / "info.json")
    assert result.exit_code == 0, result.output
    values: dict[str, Any] = json.loads((tmp_path / "info.json").read_text())
    return values


@pytest.fixture
def compressed(tmp_path: Path) -> Path:
    """The folder of a run with a small compressed model."""
    torch.manual_seed(0)
    preprocessing = find_backbone("efficientnet_lite0").preprocessing.at_scale(64)
    architecture = Architecture(
        "efficientnet_lite0", ("cat", "dog[1]"), (24, 16), preprocessing, ranks={"fc6": 5}
    )
    origin = {"experiment": {"data": {"dataset": "pets"}, "weights": "imagenet"},
              "compressed_from": "big.safetensors"}  # fmt: skip
    save_model(FastRCNN(architecture), tmp_path / "runs" / "pets" / "model.safetensors", origin)
    return tmp_path / "runs" / "pets"


def test_all_layers_of_a_backbone_are_shown() -> None:
    result = info("caffenet")
    assert result.exit_code == 0, result.output
    rows = {line.split()[0]: line.split() for line in result.stdout.splitlines() if line.strip()}
    # 96 filters of 11 x 11 x 3 and 96 biases, at 150 x 250 positions.
    assert rows["conv1"] == [
        "conv1", "Conv2d", "96", "x", "150", "x", "250", "34,944", "1.307", "G", "frozen",
    ]  # fmt: skip
    assert rows["norm1"][1:] == ["LocalResponseNorm", "96", "x", "76", "x", "126"]
    # Two groups: each of the 256 x 76 x 126 outputs sums 5 x 5 x 48 products.
    assert rows["conv2"][-3:] == ["307,456", "2.942", "G"]
    assert rows["fc6"] == ["fc6", "Linear", "4096", "37,752,832", "37.75", "M/RoI"]


def test_the_json_of_vgg16_by_hand(tmp_path: Path) -> None:
    values = info_json(tmp_path, "vgg16")
    layers = {layer["name"]: layer for layer in values["layers"]}
    assert values["file"] is None
    assert values["input"] == {"height": 600, "width": 1000}
    assert layers["features.conv1_1"]["multiply_adds"] == 600 * 1000 * 64 * 27
    assert layers["features.conv1_1"]["frozen"]
    assert layers["features.conv5_3"]["output"] == [512, 38, 63]
    assert layers["features.conv5_3"]["multiply_adds"] == 38 * 63 * 512 * 512 * 9
    assert not layers["features.conv5_3"]["frozen"]
    assert layers["fc6"]["multiply_adds"] == 102_760_448
    assert values["multiply_adds"]["roi"] == 4096 * (25088 + 4096 + 21 + 80)
    # The classifier has 138,357,544, with fc8 of 1000 outputs instead of 21 and 80.
    assert values["parameters"] == 138_357_544 - 4097 * 1000 + 4097 * 101


def test_torchvisions_networks_are_shown(tmp_path: Path) -> None:
    values = info_json(tmp_path, "torchvision:resnet18")
    assert values["architecture"]["backbone"] == "torchvision:resnet18"
    assert [layer["name"] for layer in values["layers"]][:2] == [
        "features.conv1",
        "features.maxpool",
    ]


def test_the_training_settings_of_a_model_are_shown(compressed: Path, tmp_path: Path) -> None:
    result = info(compressed)
    assert result.exit_code == 0, result.output
    for words in ("data.dataset", "pets", "cat, dog[1]", "fc6 5", "big.safetensors", "fc6.second"):
        assert words in result.output
    values = info_json(tmp_path, compressed / "model.safetensors")
    assert values["file"]["bytes"] == (compressed / "model.safetensors").stat().st_size
    assert values["file"]["experiment"]["data"]["dataset"] == "pets"
    assert values["architecture"]["ranks"] == {"fc6": 5}
    assert values["architecture"]["preprocessing"]["scale"] == 64


def test_without_a_name_the_newest_runs_model_is_shown(compressed: Path) -> None:
    result = info("--runs", compressed.parent)
    assert result.exit_code == 0, result.output
    assert "cat, dog[1]" in result.output


def test_errors_for_a_checkpoint_and_a_damaged_file(compressed: Path) -> None:
    model = compressed / "model.safetensors"
    cut = compressed / "cut.safetensors"
    cut.write_bytes(model.read_bytes()[:5000])
    assert info(cut).exit_code == 1
    assert "cut.safetensors: not a model file, or damaged" in info(cut).output
    checkpoint = compressed / "checkpoint.safetensors"
    architecture = Architecture("vgg16", ("a",), (8, 8), find_backbone("vgg16").preprocessing)
    save_tensors(checkpoint, architecture, {"model.score.bias": torch.zeros(2)}, {})
    assert info(checkpoint).exit_code == 1
    assert "frcnn train --resume" in info(checkpoint).output


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("vgg61", "Did you mean 'vgg16'"),
        ("resnet50", "Did you mean 'torchvision:resnet50'"),
        ("torchvision:vit_b_16", "cannot be a backbone"),
        ("runs/none", "model not found"),
        ("none.safetensors", "model not found"),
        ("a[b]", "There is no model file and no run of that name either"),
    ],
)
def test_the_error_for_an_invalid_name_is_short(given: str, words: str) -> None:
    result = info(given)
    assert result.exit_code == 2
    assert words in result.output
    message = result.output[result.output.find("Error:") :]
    assert len(message.strip().splitlines()) <= 3
