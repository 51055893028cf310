"""`frcnn config show`: every setting of a run, and who set it."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.markup import escape
from rich.table import Table

from frcnn_cli.commands.shared import options
from frcnn_cli.commands.shared.console import Output, pass_output, write_json
from frcnn_cli.commands.train.options import setting_options
from frcnn_cli.commands.train.settings import Wishes, experiment_from, given_options, layers_from
from frcnn_cli.commands.train.tables import value_text
from frcnn_cli.engine.datasets.locate import data_roots
from frcnn_cli.engine.models.file import read_architecture
from frcnn_cli.engine.models.presets import PRESETS, base_experiment
from frcnn_cli.engine.models.provenance import stored_experiment
from frcnn_cli.engine.models.store import SETTING_FILE, find_model, load_model
from frcnn_cli.engine.proposals.cache import cache_folder
from frcnn_cli.engine.settings import Experiment
from frcnn_cli.engine.settings.fields import values_of
from frcnn_cli.engine.settings.overrides import override, read_toml
from frcnn_proposals.errors import MisuseError


@click.command()
@click.argument("dataset", required=False)
@setting_options
@click.option("--run", type=options.AnyPath, help="Those of this run or model instead.")
@click.option("--changed", is_flag=True, help="Only what is not the default.")
@options.json_file
@pass_output
def show(
    output: Output,
    /,
    preset: str | None,
    variants: tuple[str, ...],
    config: Path | None,
    assignments: tuple[str, ...],
    scale: int | None,
    run: Path | None,
    changed: bool,
    json_path: Path | None,
    **named: Any,
) -> None:
    """Show the settings that `frcnn train DATASET` with these options would have.

    Each with where it comes from: the default, the preset, a variant, the --config file, an
    option. Then the folders that the environment decides on. Nothing is trained.

    \b
    frcnn config show voc2007 --preset paper-l --variant multiscale
    frcnn config show --config mine.toml --set sampling.foreground_iou=0.6 --changed
    frcnn config show --run runs/voc2007-efficientnet_lite2 --json setting.json
    """
    wishes = Wishes(preset, variants, config, scale, assignments, given_options(named))
    if run is None:
        settings = asked_settings(wishes)
    elif wishes == Wishes(None, (), None, None, (), {}):
        settings = run_settings(run)
    else:
        raise MisuseError("--run shows the settings that a run has: give no others beside it.")
    if changed:
        settings = [each for each in settings if each.by != "default"]
    folders = _folders()
    table = Table("setting", "value", "from")
    for each in settings:
        table.add_row(each.path, escape(value_text(each.value)), escape(each.by))
    output.print(table)
    for each in folders:
        output.results.print(
            f"{each.path}: {escape(str(each.value))} ({escape(each.by)})", soft_wrap=True
        )
    if json_path is not None:
        write_json(json_path, {"settings": _as_json(settings), "folders": _as_json(folders)})


def _folders() -> list[SetBy]:
    """Those that are no part of a run, but of the machine."""
    return [
        SetBy("data", str(data_roots(None)[0]), _environment("FRCNN_DATA")),
        SetBy("cache", str(cache_folder()), _environment("FRCNN_CACHE")),
    ]


def _environment(name: str) -> str:
    return f"${name}" if os.environ.get(name) else "default"


def _as_json(settings: list[SetBy]) -> list[dict[str, Any]]:
    return [{"name": each.path, "value": each.value, "from": each.by} for each in settings]


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


@click.group()
def config() -> None:
    """Show the effective settings, and where each comes from.

    \b
    frcnn config show voc2007 --preset paper-l
    """


config.add_command(show)
