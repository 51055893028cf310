"""`frcnn import-caffe`, and the use of the imported files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from caffe_files import POOLED, caffenet_arrays, detector_arrays, layer, new_file, write
from called import frcnn

from frcnn_cli.engine.models.store import load_model
from frcnn_cli.engine.network.backbones.find import find_backbone
from frcnn_cli.engine.network.backbones.weights import load_pretrained


def test_a_detector_is_imported_and_detects(tmp_path: Path) -> None:
    path = write(tmp_path / "old.caffemodel", new_file(detector_arrays()))
    done = frcnn("import-caffe", path, "--arch", "caffenet", "--classes", "cat, dog")
    assert done.exit_code == 0, done.output
    model = tmp_path / "old.safetensors"
    assert f"frcnn detect IMAGE --model {model}" in done.output.replace("\n", "")
    assert load_model(model)[0].architecture.classes == ("cat", "dog")
    shown = frcnn("model", "info", model)
    assert shown.exit_code == 0, shown.output
    assert "coding caffe" in shown.output
    image = tmp_path / "image.png"
    pixels = np.random.default_rng(0).integers(0, 256, (40, 60, 3)).astype(np.uint8)
    PIL.Image.fromarray(pixels).save(image)
    found = frcnn("detect", image, "--model", model, "--source", "dense",
                  "--json", tmp_path / "found.json")  # fmt: skip
    assert found.exit_code == 0, found.output


def test_class_names_can_be_in_a_file(tmp_path: Path) -> None:
    path = write(tmp_path / "old.caffemodel", new_file(detector_arrays()))
    names = tmp_path / "names.txt"
    names.write_text("cat\n\ndog\n")
    out = tmp_path / "sub" / "new.safetensors"
    done = frcnn("import-caffe", path, "--arch", "caffenet", "--classes", names, "--out", out)
    assert done.exit_code == 0, done.output
    assert load_model(out)[0].architecture.classes == ("cat", "dog")


def test_training_starts_from_an_imagenet_network(tmp_path: Path) -> None:
    arrays = caffenet_arrays() | {"fc8": layer(3, (10, 5))}
    path = write(tmp_path / "caffenet.caffemodel", new_file(arrays))
    done = frcnn("import-caffe", path, "--arch", "caffenet")
    assert done.exit_code == 0, done.output
    weights = tmp_path / "caffenet.safetensors"
    assert f"--backbone caffenet --weights {weights}" in done.output.replace("\n", "")
    assert frcnn("data", "generate", tmp_path / "shapes", "--images", 8).exit_code == 0
    trained = frcnn("train", tmp_path / "shapes", "--backbone", "caffenet", "--weights", weights,
                    "--iterations", 1, "--scale", 64, "--workers", 0, "--source", "dense",
                    "--out", tmp_path / "run")  # fmt: skip
    assert trained.exit_code == 0, trained.output
    model, _ = load_model(tmp_path / "run" / "model.safetensors")
    assert model.architecture.preprocessing.channels == "bgr"
    state = model.state_dict()
    assert np.array_equal(state["features.conv1.weight"].numpy(), arrays["conv1"][0])  # frozen


@pytest.mark.long
def test_fc6_and_fc7_of_an_imagenet_network_are_imported(tmp_path: Path) -> None:
    fc6, fc7 = layer(1, (4096, POOLED)), layer(2, (4096, 4096))
    path = write(tmp_path / "a.caffemodel", new_file(caffenet_arrays() | {"fc6": fc6, "fc7": fc7}))
    done = frcnn("import-caffe", path, "--arch", "caffenet")
    assert done.exit_code == 0, done.output
    read = load_pretrained(find_backbone("caffenet"), tmp_path / "a.safetensors")
    assert np.array_equal(read.head["fc6.weight"].numpy(), fc6[0])
    assert np.array_equal(read.head["fc7.bias"].numpy(), fc7[1])


@pytest.mark.parametrize(
    ("options", "code", "words"),
    [
        (["--arch", "caffenet"], 2, "Name them with --classes"),
        (["--arch", "caffenet", "--classes", "cat,cat"], 2, "same name"),
        (["--arch", "vgg16"], 1, "no layer conv1_1"),
        (["--arch", "caffenet", "--classes", "a,b", "--out", "a.pth"], 2, ".safetensors"),
        (["--arch", "resnet"], 2, "'resnet' is not one of"),
    ],
)
def test_misuse_is_rejected(tmp_path: Path, options: list[str], code: int, words: str) -> None:
    path = write(tmp_path / "old.caffemodel", new_file(detector_arrays()))
    done = frcnn("import-caffe", path, *options)
    assert done.exit_code == code, done.output
    assert words in done.output
    assert not (tmp_path / "old.safetensors").exists()
