"""The shipped model: the default where there is no run, and a name in every command."""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import click
import cv2
import numpy as np
import pytest
from called import frcnn
from click.testing import CliRunner
from small_package import experiment_on, ship, small_model

import frcnn as library
from frcnn_cli.cli import cli
from frcnn_cli.commands.shared.detection_options import split_arguments
from frcnn_cli.engine.models.experiment_options import SettingOptions, experiment_from
from frcnn_cli.engine.models.provenance import origin_of
from frcnn_cli.engine.models.shipped.table import list_models
from frcnn_cli.engine.models.store import find_model, meanings, save_model
from frcnn_proposals.errors import InputError, MisuseError

RUNS = Path("runs")
LINE = "Model: voc, shipped with frcnn (no trained model in runs)"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the package; the current folder has a dataset, `shapes`, and no run."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    monkeypatch.setenv("FRCNN_CACHE", str(tmp_path / "cache"))
    library.generate_dataset("shapes", 8, size=(96, 72))
    return ship(tmp_path / "package", monkeypatch, "shapes").parent


def make_run(name: str) -> Path:
    path = RUNS / name / "model.safetensors"
    save_model(small_model(), path, origin_of(experiment_on("shapes"), ""))
    return path


@pytest.mark.parametrize(
    ("command", "written"),
    [
        (("detect", "shapes/JPEGImages/000001.jpg", "--viz"), "detections/000001.jpg"),
        (("detect", "drive.avi"), "detections/drive.mp4"),
        (("features", "shapes/JPEGImages/000001.jpg", "--out", "boxes.npz"), "boxes.npz"),
        (("model", "info", "--json", "info.json"), "info.json"),
        (("compress", "--svd-rank", 4), "voc-svd-4.safetensors"),
        (("export", "--format", "torch-export"), "voc.pt2"),
        (("eval", "shapes", "--json", "scores.json"), "scores.json"),
        (("report", "--dataset", "shapes"), "report/index.html"),
    ],
)
def test_it_is_used_where_there_is_no_run(
    package: Path, command: tuple[object, ...], written: str
) -> None:
    """The model is named in a line; results go to the current folder, never beside the package.

    Nothing is written there for a moment either, so the package may be in a read-only folder.
    """
    if "drive.avi" in command:
        write_video(Path("drive.avi"))
    before = package.stat().st_mtime_ns
    result = frcnn(*command)
    assert package.stat().st_mtime_ns == before
    assert result.exit_code == 0, result.output
    assert LINE in result.stderr.splitlines()
    assert Path(written).is_file()
    assert [path.name for path in package.iterdir()] == ["voc.safetensors"]
    assert command[0] == "model" or str(package) not in result.output
    if command[0] == "report":
        assert "<title>voc" in Path(written).read_text()


def write_video(path: Path) -> None:
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 5, (96, 72))
    writer.write(np.full((72, 96, 3), 90, np.uint8))
    writer.release()


@pytest.mark.parametrize("command", [("eval", "voc2007"), ("eval", "voc", "voc2007"), ("eval",)])
def test_missing_data_is_said_with_both_ways_to_get_it(
    package: Path, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("FRCNN_DATA", raising=False)
    if len(command) == 1:  # the default is the dataset of its training
        path = package / "voc.safetensors"
        save_model(small_model(), path, origin_of(experiment_on("voc2007"), ""))
    result = frcnn(*command)
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-2:] == [
        "Error: Dataset voc2007: not found in data.",
        "Set the folder with --data-root or $FRCNN_DATA, or run `frcnn data download voc2007`.",
    ]


def test_python_writes_to_the_current_folder_too(package: Path) -> None:
    """The compressed model names its origin without a path."""
    assert library.Detector.load().path == library.Detector.load("voc").path
    assert library.Detector.load("voc").class_names == library.find_dataset("shapes").classes
    assert library.compress(svd_rank=4).path == Path("voc-svd-4.safetensors")
    assert [path.name for path in package.iterdir()] == ["voc.safetensors"]
    assert frcnn("model", "info", "voc-svd-4.safetensors", "--json", "i.json").exit_code == 0
    assert json.loads(Path("i.json").read_text())["file"]["compressed_from"] == "voc"


@pytest.mark.parametrize("command", [("eval", "shapes"), ("report", "--dataset", "shapes")])
def test_training_images_are_warned_of_before_the_work(
    package: Path, command: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object, **__: object) -> None:
        raise InputError("stopped")

    warning = "voc was trained on 5 of the 5 images, so its scores do not apply to new images."
    if command[0] == "eval":
        assert frcnn(*command, "--split", "train").stderr.count(warning) == 1
    for module in ("evaluation.run", "pages.report.subjects"):
        monkeypatch.setattr(f"frcnn_cli.engine.{module}.detect_with_journal", stop)
    assert frcnn(*command, "--split", "train").stderr.count(warning) == 1
    assert "was trained on" not in frcnn(*command, "--split", "test").stderr


def test_a_run_comes_first_by_default(package: Path) -> None:
    (RUNS / "stopped").mkdir(parents=True)
    assert find_model(None, RUNS) == package / "voc.safetensors"
    assert find_model(None, RUNS) == find_model(Path("voc"), RUNS)
    assert find_model(None, RUNS) != make_run("one") == find_model(None, RUNS)


def test_a_name_is_a_path_then_a_run_then_a_shipped_model(package: Path) -> None:
    name, shipped = Path("voc"), package / "voc.safetensors"
    library.generate_dataset("voc", 8, size=(96, 72))  # a folder, but no model
    assert meanings(name, RUNS) == (shipped,)
    run = make_run("voc")
    assert meanings(name, RUNS) == (run.parent, shipped)
    detect = ("detect", "shapes/JPEGImages/000001.jpg", "--model")
    result = frcnn(*detect, "voc")
    assert "Model: runs/voc/model.safetensors" in result.stderr
    assert "voc is also the name of a shipped model, which is not used." in result.stderr
    others = (("model", "info", "voc"), ("config", "show", "--run", "voc"))
    for command in (*others, ("train", "nowhere", "--init", "voc")):
        assert "voc is also the name of a shipped model" in frcnn(*command).stderr
    (name / "model.safetensors").write_bytes(run.read_bytes())
    assert meanings(name, RUNS) == (name, run.parent, shipped)
    result = frcnn(*detect, "voc")
    assert "Model: voc/model.safetensors" in result.stderr
    assert "voc is also the name of the run runs/voc, which is not used." in result.stderr
    assert "voc is also the name of a shipped model, which is not used." in result.stderr
    assert "also the name" not in frcnn(*detect, "voc/model.safetensors").output


def test_training_can_start_from_it(package: Path) -> None:
    """Its name is stored, also where a folder is called so."""
    library.generate_dataset("voc", 8, size=(96, 72))
    options = SettingOptions(fields={"init": "voc", "dataset": "shapes"}, runs_root=RUNS)
    assert experiment_from(options).init == "voc"
    options = ("--init", "voc", "--source", "dense", "--iterations", 1, "--workers", 0)
    result = frcnn("train", "shapes", *options, "--out", "runs/fine")
    assert result.exit_code == 0, result.output
    origin = library.Detector.load("fine")._network.get().detector.loaded.origin
    assert origin["experiment"]["init"] == "voc"


def test_a_single_argument_can_be_its_name(package: Path) -> None:
    assert split_arguments("voc", None, RUNS, None) == (Path("voc"), None)
    assert split_arguments("voc2007", None, RUNS, None) == (None, "voc2007")
    library.generate_dataset("data/voc", 8, size=(96, 72))
    with pytest.raises(MisuseError, match="name of a shipped model and of a dataset"):
        split_arguments("voc", None, RUNS, None)
    library.generate_dataset("voc", 8, size=(96, 72))  # a path comes first
    assert split_arguments("voc", None, RUNS, None) == (None, "voc")
    assert split_arguments("voc", "voc", RUNS, None) == (Path("voc"), "voc")


@pytest.mark.parametrize(
    "command",
    [
        ("detect", "shapes", "--model", "vocc"),
        ("eval", "vocc"),
        ("export", "vocc"),
        ("report", "vocc"),
        ("model", "info", "vocc"),
        ("config", "show", "--run", "vocc"),
        ("train", "shapes", "--init", "vocc"),
    ],
)
def test_the_nearest_name_is_suggested(package: Path, command: tuple[str, ...]) -> None:
    result = frcnn(*command)
    assert result.exit_code == 2
    assert "Did you mean the model voc?" in result.output


@pytest.mark.parametrize("name", ["voc-full", "voc-small", "voc-paper"])
def test_a_model_that_is_not_in_the_package_names_its_command(package: Path, name: str) -> None:
    (row,) = [model for model in list_models() if model.name == name]
    for command in (("detect", "shapes", "--model", name), ("eval", name), ("model", "info", name)):
        result = frcnn(*command)
        assert result.exit_code == 2
        assert row.command in result.output.splitlines()
        assert "not in the package" in result.output


def test_a_folder_that_is_not_a_run_is_named(package: Path) -> None:
    result = frcnn("detect", "shapes", "--model", "shapes")
    assert result.exit_code == 2
    assert "Error: shapes: this folder is not a run." in result.stderr


def test_without_the_file_there_is_no_model(package: Path) -> None:
    (package / "voc.safetensors").unlink()
    assert "No trained model found in runs/." in frcnn("eval").output
    assert "frcnn compress" in frcnn("export", "voc").output
    assert "No trained model found in runs/." in frcnn("model", "info").output


@pytest.mark.parametrize(
    ("written", "way_out"), [("99.0.0", "upgrade frcnn"), ("0.1.0", "install")]
)
def test_settings_of_another_version_are_named_with_the_way_out(
    package: Path, written: str, way_out: str
) -> None:
    """The format may be the same, and a setting unknown."""
    path = package / "voc.safetensors"
    experiment = {"train": {"new_setting": 3}}
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("frcnn_cli.engine.models.file.__version__", written)
        save_model(small_model(), path, {"experiment": experiment})
    result = frcnn("eval", "voc", "shapes")
    assert result.exit_code == 1
    assert "unknown setting 'train.new_setting'" in result.output
    assert way_out in result.output


def zip_archive() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("model.pkl", b"weights")
    return buffer.getvalue()


@pytest.mark.parametrize("damage", ["cut", "empty", "zip", "other", "newer", "no format"])
def test_a_damaged_file_is_named_with_the_way_out(package: Path, damage: str) -> None:
    path = package / "voc.safetensors"
    content = path.read_bytes()
    damaged = {
        "cut": content[:-5000],
        "empty": b"",
        "zip": zip_archive(),
        "other": b"version https://git-lfs.github.com/spec/v1\n",
        "newer": content.replace(b'\\"format\\": 3', b'\\"format\\": 9', 1),
        "no format": content.replace(b'\\"format\\": 3', b'\\"format\\": 0', 1),
    }
    assert damaged[damage] != content
    path.write_bytes(damaged[damage])
    result = frcnn("model", "info", "voc")
    assert result.exit_code == 1
    assert str(path) in result.output
    way_out = "Upgrade frcnn" if damage == "newer" else "install the package again"
    assert way_out in result.output


def test_the_list_shows_every_row_and_commands_of_missing_models(package: Path) -> None:
    result = frcnn("model", "list", "--json", "models.json")
    assert result.exit_code == 0, result.output
    rows = json.loads(Path("models.json").read_text())["models"]
    assert [row["name"] for row in rows] == [model.name for model in library.list_models()]
    size = (package / "voc.safetensors").stat().st_size
    assert (rows[0]["name"], rows[0]["shipped"], rows[0]["bytes"]) == ("voc", True, size)
    assert f"{size / 1e6:.1f}" in result.stdout
    for row in rows:
        assert row["backbone"] in result.stdout
        assert row["shipped"] == (row["command"] not in result.stdout)


@pytest.mark.parametrize("model", list_models(), ids=lambda model: model.name)
def test_commands_of_the_table_are_valid(model: library.ListedModel) -> None:
    words = model.command.split()
    assert words[0] == "frcnn"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(click.Command, "invoke", lambda *_: None)
        result = CliRunner().invoke(cli, words[1:])
    assert result.exit_code == 0, result.output


def test_model_info_shows_the_card(package: Path) -> None:
    result = frcnn("model", "info", "--json", "info.json")
    assert result.exit_code == 0, result.output
    card = json.loads(Path("info.json").read_text())["file"]["card"]
    assert {"training data", "not valid", "licence of this file", "weaknesses"} <= set(card)
    for name in card:
        assert name.split()[0] in result.stdout
    assert "voc, shipped with frcnn" in result.stdout
