"""`frcnn compress` with every bound, on a small untrained model recorded as trained on `train`."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import PIL.Image
import pytest
import torch
from called import frcnn
from click.testing import Result

from frcnn_cli.engine.datasets.find import find_dataset
from frcnn_cli.engine.datasets.generate.dataset import generate_dataset
from frcnn_cli.engine.models.provenance import origin_of
from frcnn_cli.engine.models.store import is_half, load_model, save_model
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.settings import Architecture, DataSettings, Experiment, Preprocessing
from frcnn_cli.engine.training.run_folder import write_setting


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a dataset, its proposals and a model."""
    folder = tmp_path_factory.mktemp("compress")
    data = folder / "shapes"
    generate_dataset(data, images=12, seed=1, size=(128, 96))
    result = frcnn(
        "propose", data / "JPEGImages", "--source", "dense", "--out", folder / "shapes.proposals"
    )
    assert result.exit_code == 0, result.output
    torch.manual_seed(0)
    architecture = Architecture(
        backbone="efficientnet_lite0",
        classes=find_dataset(str(data), "train").classes,
        hidden=(24, 16),
        preprocessing=Preprocessing(scale=64, max_size=120),
    )
    experiment = Experiment(data=DataSettings(str(data), "train"))
    origin = origin_of(experiment, "")
    run = folder / "runs" / "small"
    save_model(FastRCNN(architecture), run / "model.safetensors", origin)
    write_setting(run, experiment)
    return folder


def compress(home: Path, tmp_path: Path, *arguments: object) -> tuple[Result, dict[str, object]]:
    file = tmp_path / "compress.json"
    result = frcnn(
        "compress", home / "runs" / "small", *arguments, "--json", file,
        "--out", tmp_path / "thin.safetensors",
    )  # fmt: skip
    return result, json.loads(file.read_text()) if file.is_file() else {}


def test_the_json_contains_the_measurements(home: Path, tmp_path: Path) -> None:
    proposals = ("--proposals", home / "shapes.proposals")
    result, values = compress(home, tmp_path, home / "shapes", "--svd-rank", 5, *proposals)
    assert result.exit_code == 0, result.output
    # fc6 is 24 x 6272, fc7 16 x 24.
    saved = 24 * 6272 - 5 * (24 + 6272) + 16 * 24 - 5 * (16 + 24)
    before, after = values["before"], values["after"]
    assert isinstance(before, dict)
    assert isinstance(after, dict)
    assert before["parameters"] - after["parameters"] == saved
    assert before["multiply_adds"] - after["multiply_adds"] == 2000 * saved
    assert after["bytes"] == (tmp_path / "thin.safetensors").stat().st_size
    for measurement in (before, after):
        assert set(measurement["stages"]) == {"conv", "roi_pooling", "fc6", "fc7", "rest"}
        assert measurement["seconds_an_image"] > 0
        assert 0 <= measurement["map_11point"] <= 1
    # The table shows mAP in percent.
    percents = [f"{100 * measurement['map_11point']:.1f}" for measurement in (before, after)]
    assert re.search(r"mAP \(11-point\), % .* {} .* {} ".format(*percents), result.output)
    assert values["dataset"]["split"] == "test"  # type: ignore[index]
    layers = values["layers"]
    assert isinstance(layers, dict)
    assert layers["fc6"]["rank"] == 5
    assert 0 < layers["fc6"]["energy"] < 1


def test_half_alone_and_a_half_model_stays_half(home: Path, tmp_path: Path) -> None:
    half, again = tmp_path / "half.safetensors", tmp_path / "again.safetensors"
    result = frcnn("compress", home / "runs" / "small", "--half", "--out", half)
    assert result.exit_code == 0, result.output
    assert is_half(half)
    assert frcnn("compress", half, "--svd-rank", 4, "--out", again).exit_code == 0
    assert is_half(again)
    assert load_model(again)[0].architecture.ranks == {"fc6": 4, "fc7": 4}
    image = sorted((home / "shapes" / "JPEGImages").glob("*.jpg"))[0]
    assert frcnn("detect", image, "--model", again).exit_code == 0


def test_half_reports_map_before_rounding(home: Path, tmp_path: Path) -> None:
    result, values = compress(
        home, tmp_path, home / "shapes", "--svd-rank", 5, "--half",
        "--proposals", home / "shapes.proposals",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert {"map_11point", "map_11point_float32"} <= set(values["after"])  # type: ignore[call-overload]


def test_energy_names_the_unchanged_layers(home: Path, tmp_path: Path) -> None:
    result, values = compress(home, tmp_path, "--energy", 0.3)
    assert result.exit_code == 0, result.output
    for layer in values["layers"].values():  # type: ignore[attr-defined]
        assert layer["energy"] >= 0.3
    none, _ = compress(home, tmp_path, "--energy", 1)
    assert none.exit_code == 2
    assert "fc6 is not compressed: keeping 1 of its energy needs rank 24" in none.output


def test_a_drop_is_measured_on_val_if_the_model_was_trained_on_train(
    home: Path, tmp_path: Path
) -> None:
    proposals = ("--proposals", home / "shapes.proposals")
    result, values = compress(home, tmp_path, "--max-drop", 90, *proposals)
    assert result.exit_code == 0, result.output
    assert values["dataset"]["split"] == "val"  # type: ignore[index]
    trials = values["trials"]
    assert isinstance(trials, list)
    drops = {json.dumps(trial["ranks"]): trial["drop"] for trial in trials}
    chosen = {name: layer["rank"] for name, layer in values["layers"].items()}  # type: ignore[attr-defined]
    assert drops[json.dumps(chosen)] <= 90


def test_a_split_with_training_images_is_rejected(home: Path, tmp_path: Path) -> None:
    result, _ = compress(home, tmp_path, "--max-drop", 1, "--split", "trainval")
    assert result.exit_code == 2
    assert "was trained on images of its trainval" in result.output
    assert not (tmp_path / "thin.safetensors").exists()


def test_a_sweep_writes_a_table_a_plot_and_json(home: Path, tmp_path: Path) -> None:
    plot, file = tmp_path / "sweep.png", tmp_path / "sweep.json"
    result = frcnn(
        "compress", home / "runs" / "small", home / "shapes", "--sweep", "12,4", "--plot", plot,
        "--json", file, "--proposals", home / "shapes.proposals",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    assert "At rank 12, fc7 is not compressed" in result.output
    points = json.loads(file.read_text())["sweep"]
    assert [point["rank"] for point in points] == [None, 4, 12]
    assert [point["ranks"] for point in points] == [{}, {"fc6": 4, "fc7": 4}, {"fc6": 12}]
    assert points[1]["parameters"] < points[2]["parameters"] < points[0]["parameters"]
    assert all(point["seconds_an_image"] > 0 and "map_11point" in point for point in points)
    assert PIL.Image.open(plot).size[0] > 500
    left = {path.name for path in (home / "runs" / "small").iterdir()}
    assert left == {"model.safetensors", "setting.toml"}


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--svd-rank 256, --energy 0.9"),
        (["--svd-rank", "4", "--energy", "0.9"], "--svd-rank and --energy cannot be combined"),
        (["--sweep", "4", "--max-drop", "1"], "--max-drop and --sweep cannot be combined"),
        (["--energy", "90"], "at most 1"),
        (["--max-drop", "-1"], "0 to 100"),
        (["--budget", "1.2x"], "Invalid budget"),
        (["--budget", "0.01x"], "other than fc6 and fc7 take"),
        (["--sweep", "4,many"], "must be a list of ranks such as 64,128"),
        (["--svd-rank", "100"], "no model is written"),
        (["--svd-rank", "fc6=30"], r"fc6 cannot be compressed to rank 30: .* 24 x 6272 .* rank 23"),
    ],
)
def test_misuse_is_rejected(home: Path, tmp_path: Path, arguments: list[str], words: str) -> None:
    result, _ = compress(home, tmp_path, *arguments)
    assert result.exit_code == 2, result.output
    assert re.search(words, result.output.replace("\n", " "))
    assert not (tmp_path / "thin.safetensors").exists()


@pytest.mark.parametrize("command", [("compress", "--svd-rank", 4), ("eval",)])
@pytest.mark.parametrize(
    ("name", "message"),
    [("text.pt", "not a model file"), ("notes", "not a model file"), ("none.pt", "not found")],
)
def test_a_file_that_is_no_model_is_named(
    command: tuple[object, ...], name: str, message: str, home: Path, tmp_path: Path
) -> None:
    """A single argument can be a dataset, but a file of another kind is meant as a model."""
    file = tmp_path / name
    if not name.startswith("none"):
        file.write_text("text")
    for runs in (home / "runs", tmp_path / "none"):
        result = frcnn(command[0], file, *command[1:], "--runs", runs)
        assert result.exit_code in (1, 2)
        assert result.output.startswith(f"Error: {file}: ")
        assert message in result.output


def test_an_unwritable_file_is_reported_before_the_work(home: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for option, name in (("--json", "a"), ("--out", "a"), ("--plot", "a.png")):
        result = frcnn(
            "compress", home / "runs" / "small", home / "shapes", "--sweep", 4,
            option, tmp_path / "file" / name, "--proposals", home / "shapes.proposals",
        )  # fmt: skip
        assert result.exit_code == 1, result.output
        assert f"{name}: cannot be written" in result.output.replace("\n", "")
        assert "Dataset:" not in result.output


@pytest.mark.parametrize("options", [("--sweep", "1,2,3,4,5,6,7,8"), ("--svd-rank", "4")])
def test_ctrl_c_leaves_no_files(home: Path, tmp_path: Path, options: tuple[str, str]) -> None:
    command = [sys.executable, "-m", "frcnn_cli.cli", "compress", home / "runs" / "small"]
    command += [home / "shapes", *options, "--proposals", home / "shapes.proposals"]
    command += ["--out", tmp_path / "thin.safetensors", "--plot", tmp_path / "s.png"]
    command += ["--json", tmp_path / "s.json"]
    child = subprocess.Popen([*map(str, command)], stderr=subprocess.PIPE, text=True)
    assert child.stderr is not None
    while "Dataset:" not in child.stderr.readline():
        assert child.poll() is None
    time.sleep(0.1)
    child.send_signal(signal.SIGINT)
    assert child.wait(timeout=60) == 130
    assert list(tmp_path.iterdir()) == []
