"""The data that a model is evaluated on: its own record of it, and the messages about it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from called import frcnn

from frcnn_cli.engine.models.store import load_model, save_model

FEW = ["--iterations", "1", "--scale", "64", "--workers", "0", "--weights", "none"]
FEW += ["--source", "dense"]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a dataset, and a model trained for one step on its train split."""
    folder = tmp_path_factory.mktemp("home")
    data = folder / "shapes"
    assert frcnn("data", "generate", data, "--images", 12, "--size", 128, 96).exit_code == 0
    result = frcnn("train", data, "--split", "train", "--out", folder / "run", *FEW)
    assert result.exit_code == 0, result.output
    return folder


@pytest.fixture
def nameless(home: Path, tmp_path: Path) -> Path:
    """The model without a record of its data, as another tool may write it."""
    model, origin = load_model(home / "run" / "model.safetensors")
    del origin["experiment"], origin["dataset_fingerprint"]
    save_model(model, tmp_path / "model.safetensors", origin)
    return tmp_path / "model.safetensors"


def test_scored_images_that_the_model_was_trained_on_are_counted(
    home: Path, tmp_path: Path
) -> None:
    """By id here; in a renamed copy without the training run's data, by the images' bytes."""
    data, json_path = home / "shapes", tmp_path / "scores.json"
    trained = len((data / "ImageSets" / "Main" / "train.txt").read_text().split())
    copy = shutil.copytree(data, tmp_path / "renamed")
    for dataset, split, expected in (
        (data, "trainval", trained),
        (copy, "trainval", trained),
        (data, "test", 0),
    ):
        result = frcnn(
            "eval", home / "run", dataset, "--split", split, "--source", "dense",
            "--json", json_path,
        )  # fmt: skip
        assert result.exit_code == 0, result.output
        output = " ".join(result.output.split())
        assert json.loads(json_path.read_text())["trained_on"] == expected
        assert f"The model was trained on {expected} of these images." in output
        assert ("do not apply to new images" in output) == (expected > 0)
    result = frcnn("compress", home / "run", data, "--split", "trainval", "--source", "dense",
                   "--svd-rank", 8, "--out", tmp_path / "small.safetensors",
                   "--json", json_path)  # fmt: skip
    assert result.exit_code == 0, result.output
    assert json.loads(json_path.read_text())["dataset"]["trained_on"] == trained
    result = frcnn("eval", tmp_path / "small.safetensors", data, "--split", "train",
                   "--source", "dense", "--json", json_path)  # fmt: skip
    assert json.loads(json_path.read_text())["trained_on"] == trained


def test_evaluation_with_other_proposals_than_in_training_is_noted(
    home: Path, tmp_path: Path
) -> None:
    data, store = home / "shapes", tmp_path / "dense.proposals"
    assert frcnn("propose", data, "--source", "dense", "--out", store).exit_code == 0
    few = [word for word in FEW if word not in ("--source", "dense")]
    result = frcnn("train", data, "--proposals", store, "--out", tmp_path / "run", *few)
    assert result.exit_code == 0, result.output
    for options, noted in (
        ([], True),
        (["--proposals", store], False),
        (["--source", "dense"], False),
    ):
        result = frcnn("eval", tmp_path / "run", data, *options)
        output = " ".join(result.output.split())
        assert result.exit_code == 0, output
        assert (f"trained with the proposals of {store}, but is evaluated with" in output) == noted


def with_one_split(home: Path, tmp_path: Path, kept: str) -> Path:
    """A copy of the dataset with only one split."""
    data = shutil.copytree(home / "shapes", tmp_path / "one")
    for listed in (data / "ImageSets" / "Main").glob("*.txt"):
        if listed.stem != kept:
            listed.unlink()
    return data


def test_model_without_a_recorded_dataset_needs_one(nameless: Path) -> None:
    result = frcnn("eval", nameless)
    assert result.exit_code == 2
    assert "does not record its dataset. Give one." in result.output


def test_only_split_may_be_the_training_data(home: Path, tmp_path: Path) -> None:
    data = with_one_split(home, tmp_path, "val")
    result = frcnn("eval", home / "run", data, "--source", "dense")
    assert result.exit_code == 0, result.output
    assert "has only the split val: the model may have been trained on it" in result.output.replace(
        "\n", ""
    )


def test_settings_are_not_chosen_on_training_images(home: Path, nameless: Path) -> None:
    arguments = [home / "shapes", "--max-drop", "100", "--source", "dense"]
    result = frcnn("compress", home / "run", *arguments, "--split", "train")
    assert result.exit_code == 2
    assert "was not trained on" in " ".join(result.output.split())
    result = frcnn("compress", nameless, *arguments, "--split", "test")
    output = " ".join(result.output.split())
    assert result.exit_code == 0, output
    assert "does not record all of its training data" in output
    assert "so it cannot evaluate them" in output
