"""Which data a model is judged on: what it says itself, and what people are told of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from called import frcnn

from frcnn_cli.engine.models.store import load_model, save_model

FEW = ["--iterations", "1", "--scale", "64", "--workers", "0", "--weights", "none"]
FEW += ["--source", "dense"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a data set, and a model of one step on its train split."""
    folder = tmp_path_factory.mktemp("home")
    data = folder / "shapes"
    assert frcnn("data", "generate", data, "--images", 12, "--size", 128, 96).exit_code == 0
    done = frcnn("train", data, "--split", "train", "--out", folder / "run", *FEW)
    assert done.exit_code == 0, done.output
    return folder


@pytest.fixture
def nameless(home: Path, tmp_path: Path) -> Path:
    """The model without a word about its data, as somebody else's tool may have written it."""
    model, origin = load_model(home / "run" / "model.safetensors")
    del origin["experiment"]
    save_model(model, tmp_path / "model.safetensors", origin)
    return tmp_path / "model.safetensors"


def with_one_split(home: Path, tmp_path: Path, kept: str) -> Path:
    """The data set with one split alone."""
    data = shutil.copytree(home / "shapes", tmp_path / "one")
    for listed in (data / "ImageSets" / "Main").glob("*.txt"):
        if listed.stem != kept:
            listed.unlink()
    return data


def test_a_model_that_does_not_say_its_data_set_asks_for_one(nameless: Path) -> None:
    result = frcnn("eval", nameless)
    assert result.exit_code == 2
    assert "does not record its dataset. Name one." in result.output


def test_the_only_split_may_have_been_trained_on(home: Path, tmp_path: Path) -> None:
    data = with_one_split(home, tmp_path, "val")
    result = frcnn("eval", home / "run", data, "--source", "dense")
    assert result.exit_code == 0, result.output
    assert "has only the split val: the model may be trained on it" in result.output.replace(
        "\n", ""
    )


def test_nothing_is_chosen_on_images_that_were_trained_on(home: Path, nameless: Path) -> None:
    asked = [home / "shapes", "--max-drop", "100", "--source", "dense"]
    result = frcnn("compress", home / "run", *asked, "--split", "train")
    assert result.exit_code == 2
    assert "was not trained on" in " ".join(result.output.split())
    result = frcnn("compress", nameless, *asked, "--split", "test")
    told = " ".join(result.output.split())
    assert result.exit_code == 0, told
    assert "does not record its training data" in told
    assert "so it cannot evaluate them" in told
