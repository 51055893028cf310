"""ImageNet weights from files: their network, their wrapping, and errors."""

from __future__ import annotations

import os
import pickle
import re
from dataclasses import replace
from pathlib import Path
from typing import get_args
from urllib.error import URLError

import pytest
import torch
import torchvision
from safetensors.torch import save_file
from torch import Tensor, nn

from frcnn_cli.engine.network.backbones.defaults import CAFFE_PIXELS
from frcnn_cli.engine.network.backbones.find import find_backbone
from frcnn_cli.engine.network.backbones.weights import load_pretrained, read_state
from frcnn_cli.engine.network.creation import create_model
from frcnn_cli.engine.settings import Preprocessing
from frcnn_cli.engine.settings.network import Resize
from frcnn_proposals.errors import InputError


@pytest.fixture(scope="module")
def resnet18() -> dict[str, Tensor]:
    torch.manual_seed(0)
    return torchvision.models.resnet18(weights=None).state_dict()


def test_torchvisions_alexnet_weights_fill_features_and_fully_connected_layers(
    tmp_path: Path,
) -> None:
    reference = torchvision.models.alexnet(weights=None)
    reference.classifier[1], reference.classifier[4] = nn.Linear(9216, 8), nn.Linear(8, 7)
    torch.save(reference.state_dict(), tmp_path / "alexnet.pth")
    backbone = replace(find_backbone("alexnet"), hidden=(8, 7))
    model = create_model(backbone, ("a",), tmp_path / "alexnet.pth")
    assert torch.equal(model.features[3].weight, reference.features[3].weight)
    assert torch.equal(model.fc6.weight, reference.classifier[1].weight)
    assert torch.equal(model.fc7.bias, reference.classifier[4].bias)
    both = create_model(backbone, ("a",), tmp_path / "alexnet.pth", cascade=True)
    assert both.second is not None
    assert torch.equal(both.second.fc6.weight, reference.classifier[1].weight)
    image = torch.randn(1, 3, 224, 224)
    with torch.inference_mode():
        assert torch.allclose(model.features(image), reference.features[:-1](image), atol=1e-5)


def test_pixels_come_from_the_weights_and_the_resizing_from_the_user(tmp_path: Path) -> None:
    backbone = replace(find_backbone("vgg16"), hidden=(8, 8))
    state = backbone.build().state_dict()
    save_file(state, tmp_path / "caffe.safetensors")
    for resize in get_args(Resize):
        requested = replace(backbone.preprocessing.at_scale(300), resize=resize)
        model = create_model(backbone, ("a",), tmp_path / "caffe.safetensors", requested)
        expected = replace(CAFFE_PIXELS.at_scale(300), resize=resize)
        assert model.architecture.preprocessing == expected
    custom = Preprocessing(mean=(0.5, 0.5, 0.5))
    model = create_model(backbone, ("a",), tmp_path / "caffe.safetensors", custom)
    assert model.architecture.preprocessing == custom


@pytest.mark.parametrize("wrapper", [None, "state_dict", "model", "model_state_dict"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_checkpoints_of_training_scripts_are_unwrapped(
    resnet18: dict[str, Tensor], tmp_path: Path, wrapper: str | None, prefix: str
) -> None:
    state = {prefix + name: value for name, value in resnet18.items()}
    torch.save({wrapper: state, "epoch": 90} if wrapper else state, tmp_path / "resnet18.pth")
    read = load_pretrained(find_backbone("torchvision:resnet18"), tmp_path / "resnet18.pth")
    assert torch.equal(read.features["layer3.1.conv2.weight"], resnet18["layer3.1.conv2.weight"])
    assert not any(name.startswith(("layer4", "fc")) for name in read.features)


@pytest.mark.parametrize(
    "name", ["vgg16", "caffenet", "efficientnet_lite0", "torchvision:resnet50"]
)
def test_weights_of_another_network_are_rejected(tmp_path: Path, name: str) -> None:
    torch.save({"something.weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(InputError, match=rf"other\.pth.*not weights of {name}"):
        load_pretrained(find_backbone(name), tmp_path / "other.pth")


def test_weights_of_a_deeper_network_of_the_family_are_rejected(tmp_path: Path) -> None:
    """ResNet-34 has all tensors of ResNet-18 with the same names and shapes, and more."""
    torch.save(torchvision.models.resnet34(weights=None).state_dict(), tmp_path / "deeper.pth")
    with pytest.raises(
        InputError, match=r"not weights of torchvision:resnet18 \(layer1\.2.*not part of"
    ):
        load_pretrained(find_backbone("torchvision:resnet18"), tmp_path / "deeper.pth")


def test_weights_of_other_shapes_are_rejected(resnet18: dict[str, Tensor], tmp_path: Path) -> None:
    wide = {name: torch.cat([value, value]) if value.dim() else value
            for name, value in resnet18.items()}  # fmt: skip
    torch.save(wide, tmp_path / "wide.pth")
    with pytest.raises(InputError, match=r"wide\.pth.*do not fit torchvision:resnet18.*mismatch"):
        create_model(find_backbone("torchvision:resnet18"), ("a",), tmp_path / "wide.pth")


def test_densenets_are_read_by_their_published_names(tmp_path: Path) -> None:
    state = torchvision.models.densenet121(weights=None).state_dict()
    published = {
        re.sub(r"(denselayer\d+\.(?:norm|conv))([12])\.", r"\1.\2.", name): value
        for name, value in state.items()
    }
    assert "features.denseblock1.denselayer1.norm.1.weight" in published
    read = find_backbone("torchvision:densenet121").read(published)
    name = "features.denseblock3.denselayer24.conv2.weight"
    assert torch.equal(read.features[name], state[name])


def test_weights_that_are_not_finite_are_rejected(
    resnet18: dict[str, Tensor], tmp_path: Path
) -> None:
    state = {**resnet18, "layer1.0.bn1.bias": torch.full((64,), float("nan"))}
    torch.save(state, tmp_path / "broken.pth")
    with pytest.raises(InputError, match=r"broken\.pth: layer1\.0\.bn1\.bias.*not finite"):
        load_pretrained(find_backbone("torchvision:resnet18"), tmp_path / "broken.pth")


def test_code_in_a_pickle_is_not_run(tmp_path: Path) -> None:
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    (tmp_path / "bomb.pth").write_bytes(pickle.dumps(Bomb(), protocol=2))
    with pytest.raises(InputError, match=r"bomb\.pth"):
        read_state(tmp_path / "bomb.pth")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("content", [[1, 2], {}, {"state_dict": 5}, {"a": "b"}])
def test_content_other_than_a_state_dict_is_rejected(tmp_path: Path, content: object) -> None:
    torch.save(content, tmp_path / "list.pth")
    with pytest.raises(InputError, match=r"list\.pth.*no state dict"):
        read_state(tmp_path / "list.pth")


def test_errors_name_a_missing_and_a_damaged_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none\.pth: file not found"):
        read_state(tmp_path / "none.pth")
    for name in ("cut.pth", "cut.safetensors"):
        (tmp_path / name).write_bytes(b"PK\x03\x04 not much")
        with pytest.raises(InputError, match=rf"{name}: the weights cannot be read"):
            read_state(tmp_path / name)


def test_without_a_connection_the_error_suggests_weights_file() -> None:
    def unreachable() -> dict[str, Tensor]:
        raise URLError("Name or service not known")

    backbone = replace(find_backbone("torchvision:resnet18"), download=unreachable)
    with pytest.raises(InputError, match=r"resnet18 could not be downloaded.*\n.*--weights FILE"):
        load_pretrained(backbone, None)


@pytest.mark.parametrize("name", ["caffenet", "vgg_cnn_m_1024"])
def test_the_error_for_weights_without_a_publisher_says_so(name: str) -> None:
    with pytest.raises(InputError, match=rf"ImageNet weights of {name} cannot be downloaded"):
        load_pretrained(find_backbone(name), None)
