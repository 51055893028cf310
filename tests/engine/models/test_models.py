"""Model files: writing, reading, finding."""

import json
import struct
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from frcnn_cli.engine.compression.layers import compress
from frcnn_cli.engine.models.file import Stored, save_tensors, upgraded
from frcnn_cli.engine.models.shipped import table
from frcnn_cli.engine.models.store import find_model, load_model, save_model
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.settings import Architecture, Preprocessing
from frcnn_proposals.errors import InputError, MisuseError


def have_equal_weights(first: FastRCNN, second: FastRCNN) -> bool:
    a, b = first.state_dict(), second.state_dict()
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_a_model_is_read_back_unchanged(small_model: FastRCNN, tmp_path: Path) -> None:
    small_model.offset_means.fill_(0.25)
    path = tmp_path / "model.safetensors"
    save_model(small_model, path, {"dataset": "voc2007"})
    loaded, origin = load_model(path)
    assert loaded.architecture == small_model.architecture
    assert origin == {"dataset": "voc2007"}
    assert have_equal_weights(loaded, small_model)
    assert not loaded.training


def test_a_compressed_model_is_read_like_any_other(small_model: FastRCNN, tmp_path: Path) -> None:
    thin = compress(small_model, {"fc6": 5, "fc7": 3}).model
    save_model(thin, tmp_path / "thin.safetensors", {})
    loaded, _ = load_model(tmp_path / "thin.safetensors")
    assert loaded.architecture.ranks == {"fc6": 5, "fc7": 3}
    assert have_equal_weights(loaded, thin)


def change_description(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the JSON description in a model file."""
    raw = path.read_bytes()
    (length,) = struct.unpack("<Q", raw[:8])
    header = json.loads(raw[8 : 8 + length])
    description = json.loads(header["__metadata__"]["frcnn"])
    change(description)
    header["__metadata__"]["frcnn"] = json.dumps(description)
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + raw[8 + length :])


@pytest.mark.parametrize("cut", [0, 1, 7, 100, 5000])
def test_the_error_for_a_truncated_file_names_it(
    small_model: FastRCNN, tmp_path: Path, cut: int
) -> None:
    path = tmp_path / "model.safetensors"
    save_model(small_model, path, {})
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(InputError, match=r"model\.safetensors"):
        load_model(path)


def test_the_error_for_a_newer_format_says_to_upgrade(
    small_model: FastRCNN, tmp_path: Path
) -> None:
    path = tmp_path / "model.safetensors"
    save_model(small_model, path, {})
    change_description(path, lambda description: description.update(format=99))
    with pytest.raises(InputError, match="Upgrade frcnn"):
        load_model(path)


def test_a_file_without_the_kind_of_resizing_resizes_in_8_bits(
    small_model: FastRCNN, tmp_path: Path
) -> None:
    """As all files of older versions; files of this version contain it."""
    path = tmp_path / "model.safetensors"
    resized = replace(small_model.architecture.preprocessing, resize="float32")
    small_model.architecture = replace(small_model.architecture, preprocessing=resized)
    save_model(small_model, path, {})
    assert load_model(path)[0].architecture.preprocessing == resized
    change_description(path, lambda d: d["architecture"]["preprocessing"].pop("resize"))
    assert load_model(path)[0].architecture.preprocessing == replace(resized, resize="uint8")


def test_tensors_of_something_else_are_not_a_model(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"a": torch.zeros(2)}, tmp_path / "a.safetensors")
    with pytest.raises(InputError, match="is not a model of frcnn"):
        load_model(tmp_path / "a.safetensors")


def test_the_newest_run_is_found(small_model: FastRCNN, tmp_path: Path) -> None:
    import os

    for age, name in ((50, "old"), (10, "new"), (90, "oldest")):
        path = tmp_path / name / "model.safetensors"
        save_model(small_model, path, {})
        os.utime(path, (1e9 - age, 1e9 - age))
    assert find_model(None, tmp_path) == tmp_path / "new" / "model.safetensors"
    assert find_model(tmp_path / "old", tmp_path).parent.name == "old"


def test_without_a_model_the_message_says_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "FOLDER", tmp_path)  # a package without models
    with pytest.raises(MisuseError, match="frcnn train"):
        find_model(None, tmp_path)


def test_a_model_on_the_vgg16_of_older_versions_is_read_as_torchvisions(tmp_path: Path) -> None:
    """Its layers were numbered and its pooling rounded down, as in torchvision."""
    architecture = Architecture("torchvision:vgg16", ("a",), (8, 8), Preprocessing())
    model = FastRCNN(architecture).to(memory_format=torch.channels_last).eval()
    tensors = {
        name.replace("features.features.", "features."): value
        for name, value in model.state_dict().items()
    }
    assert "features.28.weight" in tensors
    path = tmp_path / "old.safetensors"
    save_tensors(path, replace(architecture, backbone="vgg16"), tensors, {"dataset": "voc2007"})
    loaded, origin = load_model(path)
    assert loaded.architecture == architecture
    assert origin == {"dataset": "voc2007"}
    assert have_equal_weights(loaded, model)
    image, rois = torch.randn(1, 3, 40, 40), torch.tensor([[0, 0.0, 0, 39, 39]])
    with torch.inference_mode():
        assert loaded.features(image).shape == (1, 512, 2, 2)  # 2.5 rounded down
        assert torch.equal(loaded(image, rois).logits, model(image, rois).logits)


def test_the_error_for_a_run_on_the_vgg16_of_older_versions_says_what_to_do(tmp_path: Path) -> None:
    architecture = Architecture("vgg16", ("a",), (8, 8), Preprocessing())
    stored = Stored(architecture, {"model.features.0.weight": torch.zeros(64, 3, 3, 3)})
    with pytest.raises(InputError, match=r"checkpoint.*\n.*train again"):
        upgraded(tmp_path / "checkpoint.safetensors", stored)


def test_the_error_for_a_lite_model_of_older_versions_says_what_to_do(tmp_path: Path) -> None:
    architecture = Architecture("efficientnet_lite0", ("a",), (8, 8), Preprocessing())
    stored = Stored(architecture, {"features.lateral.weight": torch.zeros(128, 112, 1, 1)})
    with pytest.raises(InputError, match=r"old.safetensors: .*\n.*train the model again"):
        upgraded(tmp_path / "old.safetensors", stored)


def test_an_architecture_with_enormous_layers_takes_no_memory(
    small_model: FastRCNN, tmp_path: Path
) -> None:
    small_model.architecture = replace(small_model.architecture, hidden=(2**30, 2**30))
    save_model(small_model, tmp_path / "huge.safetensors", {})
    with pytest.raises(InputError, match="do not fit"):
        load_model(tmp_path / "huge.safetensors")
