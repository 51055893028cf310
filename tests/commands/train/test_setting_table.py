"""The table at the start of training shows what differs from the preset, and no more."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from frcnn_cli.commands.train.tables import setting_table
from frcnn_cli.engine.models.experiment_options import SettingOptions, experiment_from
from frcnn_cli.engine.models.presets import base_experiment, base_name, closest_preset
from frcnn_cli.engine.settings import Experiment


def printed(experiment: Experiment, preset: str | None) -> str:
    stream = io.StringIO()
    Console(file=stream, width=80).print(setting_table(experiment, preset))
    return stream.getvalue()


def rows_of(text: str) -> dict[str, list[str]]:
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in text.splitlines()]
    return {row[0]: row[1:] for row in rows if row}


def test_only_differences_are_shown() -> None:
    experiment = experiment_from(
        SettingOptions("paper-s", fields={"dataset": "x", "iterations": 7, "data_root": "/d"})
    )
    text = printed(experiment, "paper-s")
    assert rows_of(text) == {
        "data.dataset": ["x", "-"],
        "data.root": ["/d", "-"],
        "schedule.iterations": ["7", "40000"],
    }
    assert "preset paper-s" in text
    assert "svm" not in text


def test_values_that_follow_from_others_are_not_shown() -> None:
    """The table of lite has no row for its default folder, its precision and its given length."""
    options = SettingOptions(fields={"dataset": "x", "iterations": 7})
    experiment = experiment_from(options)
    chosen = replace(experiment, train=replace(experiment.train, precision="bfloat16"))
    rows = rows_of(printed(chosen, None))
    assert set(rows) == {"data.dataset", "schedule.iterations"}


def test_changed_settings_of_the_svms_are_shown() -> None:
    experiment = experiment_from(SettingOptions("paper-s", ("svm",), assignments=("svm.passes=3",)))
    rows = rows_of(printed(experiment, "paper-s"))
    assert rows["svm.passes"] == ["3", "1"]
    assert rows["train.classifier"] == ["svm", "softmax"]
    assert "svm.c" not in rows


@pytest.mark.parametrize("preset", [None, "paper-s", "paper-m", "paper-l"])
def test_the_preset_of_a_stored_experiment_is_found(preset: str | None) -> None:
    base = base_experiment(preset)
    changed = replace(base, weights="none", train=replace(base.train, seed=4, workers=3))
    assert closest_preset(changed) == preset
    assert set(rows_of(printed(changed, preset))) == {"weights", "train.seed", "train.workers"}


def test_the_base_is_named_with_its_backbone() -> None:
    assert base_name(None, "efficientnet_lite2") == "preset lite"
    assert base_name("paper-l", "vgg16") == "preset paper-l"
    assert base_name(None, "vgg16") == "backbone vgg16"
    assert base_name("paper-l", "caffenet") == "preset paper-l, backbone caffenet"
