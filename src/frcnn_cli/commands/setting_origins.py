"""Every setting with where it comes from."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frcnn_cli.commands.train_settings import Wishes, experiment_from, layers_from
from frcnn_cli.engine.checkpoint import read_architecture
from frcnn_cli.engine.presets import PRESETS, base_experiment
from frcnn_cli.engine.saved.models import SETTING_FILE, find_model, load_model
from frcnn_cli.engine.saved.origins import stored_experiment
from frcnn_cli.engine.settings import Experiment
from frcnn_cli.engine.settings.fields import values_of
from frcnn_cli.engine.settings.overrides import override, read_toml

DEFAULT = "default"


@dataclass(frozen=True)
class SetBy:
    """One setting: its path (`section.name`), its value, and who gave it."""

    path: str
    value: Any
    by: str


def asked_settings(wishes: Wishes) -> list[SetBy]:
    """The settings that a command line asks for. Raises as `experiment_from`."""
    base, layers = layers_from(wishes)
    of_base = f"preset {wishes.preset or PRESETS[0].name}"
    if wishes.preset is None and base.backbone != PRESETS[0].backbone:
        of_base = f"backbone {base.backbone}"
    usual = values_of(base_experiment(None))
    by = {path: DEFAULT if value == usual[path] else of_base
          for path, value in values_of(base).items()}  # fmt: skip
    for given in layers:
        by[given.path] = given.where
    if by["data.root"] == DEFAULT and os.environ.get("FRCNN_DATA"):
        by["data.root"] = "$FRCNN_DATA"
    values = values_of(experiment_from(wishes))
    return [SetBy(path, value, by[path]) for path, value in values.items()]


def run_settings(path: Path) -> list[SetBy]:
    """The settings of a run, or those that a model says it was made by.

    Raises MisuseError or InputError where there is neither.
    """
    setting = path / SETTING_FILE
    if setting.is_file():
        experiment, by = override(Experiment(), read_toml(setting)), str(setting)
    else:
        file = find_model(path, path.parent)
        _, origin = load_model(file)
        experiment, by = stored_experiment(origin, read_architecture(file)), str(file)
    usual = values_of(base_experiment(None))
    return [
        SetBy(name, value, DEFAULT if value == usual[name] else by)
        for name, value in values_of(experiment).items()
    ]
