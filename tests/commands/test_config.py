"""`frcnn config show`: the values that training would use, each with its source."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from frcnn_cli.cli import cli
from frcnn_cli.engine.models.experiment_options import SettingOptions, experiment_from
from frcnn_cli.engine.models.presets import base_experiment
from frcnn_cli.engine.settings.fields import values_of
from frcnn_cli.engine.training.run_folder import write_setting


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FRCNN_DATA", raising=False)
    monkeypatch.setenv("COLUMNS", "200")


def show(*arguments: str, code: int = 0) -> dict[str, tuple[Any, str]]:
    options = ["config", "show", *arguments, "--json", "out.json"]
    result = CliRunner().invoke(cli, options)
    assert result.exit_code == code, result.output
    if code:
        return {}
    written = json.loads(Path("out.json").read_text())
    return {row["name"]: (row["value"], row["from"]) for row in written["settings"]}


def test_without_options_every_setting_is_the_default() -> None:
    shown = show()
    assert set(shown) == set(values_of(base_experiment(None)))
    assert {source for _, source in shown.values()} == {"default"}
    assert show("--changed") == {}


def test_the_source_of_each_setting_is_shown() -> None:
    Path("mine.toml").write_text("[sampling]\nimages = 4\nforeground_iou = 0.7\n")
    shown = show(
        "voc2007", "--preset", "paper-l", "--variant", "multiscale", "--config", "mine.toml",
        "--iterations", "70", "--set", "sampling.foreground_iou=0.6", "--source", "dense",
        "--param", "step=0.5", "--param", "scales=[64]",
    )  # fmt: skip
    assert shown["proposals.parameters"] == (["step=0.5", "scales=[64]"], "--param")
    assert shown["data.dataset"] == ("voc2007", "DATASET")
    assert shown["backbone"] == ("vgg16", "preset paper-l")
    assert shown["sampling.scales"] == ([480, 576, 688, 864, 1200], "Variant multiscale")
    assert shown["sampling.images"] == (4, "mine.toml")
    assert shown["sampling.foreground_iou"] == (0.6, "--set")
    assert shown["schedule.iterations"] == (70, "--iterations")
    assert shown["proposals.source"] == ("dense", "--source")
    assert shown["train.seed"] == (0, "default")


def test_values_equal_those_of_training() -> None:
    options = SettingOptions(
        "paper-s", ("no-bbox-reg",), None, 300, (), {"dataset": "x", "seed": 3}
    )
    trained = values_of(experiment_from(options))
    shown = show("x", "--preset", "paper-s", "--variant", "no-bbox-reg", "--scale", "300",
                "--seed", "3")  # fmt: skip
    assert {name: value for name, (value, _) in shown.items()} == json.loads(json.dumps(trained))
    assert shown["preprocessing.scale"] == (300, "--scale")


def test_the_backbone_and_the_environment_are_sources(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FRCNN_DATA", "/datasets")
    shown = show("--backbone", "caffenet", "--changed")
    assert shown["backbone"] == ("caffenet", "--backbone")
    assert shown["preprocessing.mean"][1] == "backbone caffenet"
    assert shown["data.root"] == ("/datasets", "$FRCNN_DATA")
    assert "train.seed" not in shown


def test_the_settings_of_a_run() -> None:
    folder = Path("runs/one")
    folder.mkdir(parents=True)
    write_setting(folder, base_experiment("paper-m"))
    shown = show("--run", "runs/one")
    assert shown["backbone"] == ("vgg_cnn_m_1024", "runs/one/setting.toml")
    assert shown["train.seed"] == (0, "default")
    show("--run", "runs/one", "--seed", "3", code=2)
    show("--run", "nowhere", code=2)


def test_invalid_settings_are_rejected_as_in_training() -> None:
    show("--set", "sampling.forground_iou=0.6", code=2)
    show("--preset", "paper-x", code=2)
    show("--config", "nowhere.toml", code=1)
