"""Errors about unknown names suggest what was meant, also in the words of other tools."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from frcnn_cli.cli import COMMANDS, cli
from frcnn_cli.engine.datasets.locate import data_roots, known_name, locate
from frcnn_cli.engine.models.experiment_options import SettingOptions, experiment_from
from frcnn_cli.engine.settings import Experiment
from frcnn_cli.engine.settings.fields import values_of
from frcnn_proposals.sources.registry import list_sources
from frcnn_proposals.suggestions import ALIASES, suggest


@pytest.mark.parametrize(
    ("arguments", "suggested"),
    [
        (["predict", "up.jpg"], "'detect'"),
        (["infer", "up.jpg"], "'detect'"),
        (["detect", "up.jpg", "--score", "0.3"], "'--score-threshold'"),
        (["detect", "up.jpg", "--conf", "0.3"], "'--score-threshold'"),
        (["detect", "up.jpg", "--imgsz", "640"], "'--scales'"),
        (["detect", "up.jpg", "--weights", "a.safetensors"], "'--model'"),
        (["detect", "up.jpg", "--save"], "'--viz'"),
        (["detect", "--input", "up.jpg"], "Give IMAGE... as an argument"),
        (["detect", "--source", "up.jpg"], "--source is the source of the proposals"),
        (["eval", "--model", "a.safetensors"], "Give MODEL as an argument"),
        (["train", "voc2007", "--model", "a.safetensors"], "'--init'"),
        (["train", "voc2007", "--name", "a"], "'--out'"),
        (["train", "voc2007", "--optimizer", "adamw"], "'--set schedule.optimizer=VALUE'"),
        (["train", "voc2007", "--wd", "0.1"], "'--set schedule.weight_decay=VALUE'"),
        (["train", "voc2007", "--iou", "0.1"], "'--set detect.nms_iou=VALUE'"),
        (["train", "voc2007", "--backbon", "vgg16"], "'--backbone'"),
        (["train", "voc2007", "--imgsz", "640"], "'--scale'"),
        (["train", "voc2007", "--lr", "0.1"], "'--learning-rate'"),
        (["train", "voc2007", "--batch-size", "8"], "'--set sampling.images=N'"),
        (["train", "--dataset", "voc2007"], "Give DATASET as an argument"),
        (["train", "voc2007", "--set", "lr=0.1"], "'schedule.learning_rate'"),
        (["train", "voc2007", "--backbone", "EfficientNet-Lite2"], "'efficientnet_lite2'"),
        (["propose", ".", "--source", "selectivesearch"], "'selective-search'"),
        (["data", "downlod", "voc2007"], "'download'"),
        (["detect", "up.jpg", "--foo"], "`frcnn detect --help`"),
        (["detect", "up.jpg", "-q"], "Write '-q' before the command: `frcnn -q detect`"),
        (["model", "list", "--verbose"], "`frcnn --verbose model list`"),
    ],
)
def test_the_right_name_is_suggested(arguments: list[str], suggested: str) -> None:
    result = CliRunner().invoke(cli, arguments, prog_name="frcnn")
    assert result.exit_code == 2
    assert suggested in result.stderr


def test_aliases_stand_for_names_that_exist() -> None:
    context = click.Context(cli)
    commands = [cli.get_command(context, name) for name in COMMANDS]
    parameters = [each for command in commands if command for each in command.params]
    known = {
        *COMMANDS,
        *values_of(Experiment()),
        *(source.name for source in list_sources()),
        *(option for parameter in parameters for option in parameter.opts),
        *(each.human_readable_name for each in parameters),
    }
    assert {ours.split()[0] for names in ALIASES.values() for ours in names} <= known


def test_other_letters_come_before_similar_names() -> None:
    assert suggest("Selective_Search", ["selective-searches", "selective-search"]) == (
        "selective-search"
    )
    assert suggest("xyz", ["dense"]) is None


def test_names_of_datasets_may_be_capitals(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for split in ("train", "test"):
        path = tmp_path / "data" / "VOCdevkit" / "VOC2007" / "ImageSets" / "Main" / f"{split}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("")
    for folder in ("Annotations", "JPEGImages"):
        (tmp_path / "data" / "VOCdevkit" / "VOC2007" / folder).mkdir()
    (found,) = locate("VOC2007")
    assert (found.name, found.layout.root.name) == ("voc2007", "VOC2007")
    experiment = experiment_from(SettingOptions(fields={"dataset": "VOC2007+Voc2012"}))
    assert experiment.data.dataset == "voc2007+voc2012"
    (tmp_path / "VOC2007").mkdir()
    assert known_name("VOC2007") == "VOC2007"


def test_a_folder_is_searched_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("FRCNN_DATA", str(tmp_path / "data"))
    assert data_roots(Path("data")) == [Path("data")]
    result = CliRunner().invoke(cli, ["train", "voc2007", "--data-root", "data"])
    assert f"Dataset voc2007: not found in {tmp_path / 'data'}.\n" in result.stderr
