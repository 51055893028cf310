"""MODEL is a file, a run's folder or a run's name, in every command and in Python."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner, Result

import frcnn
from frcnn_cli.cli import cli
from frcnn_cli.commands.shared.detection_options import split_arguments
from frcnn_cli.engine.models.experiment_options import SettingOptions, experiment_from
from frcnn_cli.engine.models.loaded import open_model
from frcnn_cli.engine.models.provenance import origin_of
from frcnn_cli.engine.models.shipped import table
from frcnn_cli.engine.models.store import find_model, save_model
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.reporter import Silent
from frcnn_cli.engine.settings import Architecture, DataSettings, Experiment, Preprocessing
from frcnn_cli.engine.training.run_folder import write_setting
from frcnn_proposals.errors import MisuseError

RUNS = Path("runs")
LONG_NAME = "roboflow_coco_2024-efficientnet_lite0-17"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder: finished runs, and one that stopped before its first checkpoint."""
    monkeypatch.chdir(tmp_path)
    small = Preprocessing(scale=64, max_size=120)
    torch.manual_seed(0)
    model = FastRCNN(Architecture("efficientnet_lite0", ("circle",), (24, 16), small))
    experiment = Experiment(backbone="efficientnet_lite0", data=DataSettings("shapes", "train"))
    for name in (LONG_NAME, "newest"):
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        save_model(model, folder / "model.safetensors", origin_of(experiment, ""))
        write_setting(folder, experiment)
    (tmp_path / "runs" / "stopped").mkdir()
    write_setting(tmp_path / "runs" / "stopped", experiment)
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, list(arguments), prog_name="frcnn")


def test_runs_prints_names_that_commands_accept(home: Path) -> None:
    result = run("runs")
    assert result.exit_code == 0, result.output
    assert LONG_NAME in result.stdout
    assert run("model", "info", LONG_NAME, "--json", "info.json").exit_code == 0
    assert json.loads(Path("info.json").read_text())["file"]["path"] == (
        f"runs/{LONG_NAME}/model.safetensors"
    )
    assert run("config", "show", "--run", LONG_NAME).exit_code == 0
    result = run("train", "--resume", LONG_NAME)
    assert f"runs/{LONG_NAME}: this run has finished" in result.output
    initial = SettingOptions(fields={"init": LONG_NAME}, runs_root=RUNS)
    assert experiment_from(initial).init == str(home / "runs" / LONG_NAME)


@pytest.mark.parametrize(
    "command",
    [
        ("eval", "stopped"),
        ("eval", "runs/stopped"),
        ("compress", "runs/stopped", "--svd-rank", "4"),
        ("report", "stopped"),
        ("export", "stopped"),
        ("model", "info", "stopped"),
        ("train", "shapes", "--init", "stopped"),
        ("detect", "a.jpg", "--model", "stopped"),
    ],
)
def test_a_run_without_a_checkpoint_is_named_in_the_error(
    home: Path, command: tuple[str, ...]
) -> None:
    frcnn.generate_dataset("shapes", 8, size=(96, 72))
    (home / "a.jpg").write_bytes(b"")
    result = run(*command)
    assert result.exit_code == 2
    assert "runs/stopped: this run has not finished" in result.output
    assert "newest" not in result.output


def test_a_path_comes_before_the_name_of_a_run(home: Path) -> None:
    assert find_model(Path("newest"), RUNS) == RUNS / "newest" / "model.safetensors"
    other = Path("newest", "model.safetensors")
    other.parent.mkdir()
    other.write_bytes((RUNS / other).read_bytes())
    assert find_model(Path("newest"), RUNS) == other
    assert find_model(RUNS / "newest", RUNS) == RUNS / other
    assert find_model(other, RUNS) == other


def test_a_single_argument_is_a_model_or_a_dataset(home: Path) -> None:
    frcnn.generate_dataset("shapes", 8, size=(96, 72))
    frcnn.generate_dataset("newest-not", 8, size=(96, 72))
    assert split_arguments("newest", None, RUNS, None) == (Path("newest"), None)
    assert split_arguments("shapes", None, RUNS, None) == (None, "shapes")
    assert split_arguments("newest", "shapes", RUNS, None) == (Path("newest"), "shapes")
    (home / "runs" / "empty").mkdir()
    assert split_arguments("runs/empty", None, RUNS, None) == (Path("runs/empty"), None)
    assert split_arguments("runs/gone", None, RUNS, None) == (Path("runs/gone"), None)
    frcnn.generate_dataset("data/newest", 8, size=(96, 72))
    with pytest.raises(MisuseError, match=r"of a run and of a dataset\.\nWrite runs/newest "):
        split_arguments("newest", None, RUNS, None)
    assert split_arguments("newest-not", None, RUNS, None) == (None, "newest-not")


@pytest.mark.parametrize(
    ("command", "hint"),
    [
        (("eval", "newset"), "Did you mean the run newest?"),
        (("export", "newset"), "Did you mean the run newest?"),
        (("model", "info", "newset"), "Did you mean the run newest?"),
        (("model", "info", "vgg17"), "Did you mean 'vgg16'?"),
        (("detect", "a.jpg", "--model", "newset"), "Did you mean the run newest?"),
        (("train", "shapes", "--init", "newset"), "Did you mean the run newest?"),
        (("train", "shapes", "--init", "newset"), "a run in runs by its name"),
        (("eval", "runs/newset"), "Did you mean the run newest?"),
        (("eval", "runs/gone"), "runs/gone: model not found"),
        (("eval", "nothing"), "nothing: there is no model and no run of this name"),
        (("eval", "voc2007"), "frcnn data download voc2007"),
        (("propose", "a.jpg", "--source", "ranked", "--param", "model=newset"), "run newest?"),
        (("propose", "a.jpg", "--source", "ranked", "--param", "model=newest"), "has no ranker"),
    ],
)
def test_a_misspelled_run_is_not_replaced(home: Path, command: tuple[str, ...], hint: str) -> None:
    (home / "a.jpg").write_bytes(b"")
    result = run(*command)
    assert result.exit_code == 2
    assert hint in result.output


def test_a_misspelled_run_to_resume_is_suggested(home: Path) -> None:
    result = run("train", "--resume", "stoped")
    assert "stoped: there is no run of this name or folder. Did you mean the run stopped?" in (
        result.output
    )


def test_without_a_name_unfinished_runs_are_mentioned(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "FOLDER", home)  # a package without models
    device = torch.device("cpu")
    finished, stopped = (RUNS / name / "setting.toml" for name in ("newest", "stopped"))
    for name in ("newest", LONG_NAME):
        os.utime(RUNS / name / "model.safetensors", (50, 50))
    for at, noted in ((40, False), (60, True)):
        os.utime(stopped, (at, at))
        notes: list[str] = []
        reporter = Silent()
        reporter.note = notes.append  # type: ignore[method-assign]
        opened = open_model(None, RUNS, device, reporter=reporter)
        assert opened.path.parent != stopped.parent
        assert any("runs/stopped has not finished" in note for note in notes) == noted
    for name in ("newest", LONG_NAME):
        (RUNS / name / "model.safetensors").unlink()
        os.utime(RUNS / name / "setting.toml", (50, 50))
    with pytest.raises(MisuseError, match="`frcnn train --resume runs/stopped`"):
        find_model(None, RUNS)
    os.utime(finished, (70, 70))
    with pytest.raises(MisuseError, match="`frcnn train --resume runs/newest`"):
        find_model(None, RUNS)


def test_python_takes_the_name_of_a_run(home: Path) -> None:
    assert frcnn.Detector.load("newest", source="dense").class_names == ("circle",)
    with pytest.raises(frcnn.MisuseError, match="has not finished"):
        frcnn.Detector.load("stopped")
    with pytest.raises(frcnn.InputError, match="shapes"):  # found, and its dataset is missing
        frcnn.resume("stopped")
    assert frcnn.resume("newest").path == RUNS / "newest" / "model.safetensors"
