"""`frcnn config show`: every setting of a run, and where it comes from."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click
from rich.markup import escape
from rich.table import Table

from frcnn_cli.commands.shared.console import Output, pass_output, write_json
from frcnn_cli.commands.shared.options import AnyPath, json_file
from frcnn_cli.commands.train.options import setting_options
from frcnn_cli.commands.train.settings import SettingOptions, base_and_changes, experiment_from
from frcnn_cli.commands.train.tables import value_text
from frcnn_cli.engine.datasets.locate import data_roots
from frcnn_cli.engine.models.file import read_architecture, read_description
from frcnn_cli.engine.models.presets import PRESETS, base_experiment
from frcnn_cli.engine.models.provenance import stored_experiment
from frcnn_cli.engine.models.store import SETTING_FILE, find_model
from frcnn_cli.engine.proposals.cache import cache_folder
from frcnn_cli.engine.settings import Experiment
from frcnn_cli.engine.settings.fields import values_of
from frcnn_cli.engine.settings.overrides import override, read_toml
from frcnn_proposals.errors import MisuseError


@click.command()
@click.argument("dataset", required=False)
@setting_options
@click.option("--run", type=AnyPath, help="Show the settings of this run or model instead.")
@click.option("--changed", is_flag=True, help="Show only settings that are not the default.")
@json_file
@pass_output
def show(
    output: Output, /, run: Path | None, changed: bool, json_path: Path | None, **setting: Any
) -> None:
    """Show the settings that `frcnn train DATASET` with these options would have.

    Each setting is shown with its source: the default, the preset, a variant, the --config file,
    or an option. The folders that environment variables set follow. Nothing is trained.

    \b
    frcnn config show voc2007 --preset paper-l --variant multiscale
    frcnn config show --config mine.toml --set sampling.foreground_iou=0.6 --changed
    frcnn config show --run runs/voc2007-efficientnet_lite2 --json setting.json
    """
    options = SettingOptions.parse(setting)
    if run is None:
        settings = settings_of_options(options)
    elif options == SettingOptions():
        settings = settings_of_run(run)
    else:
        raise MisuseError("--run shows the settings of a run: give no other settings beside it.")
    if changed:
        settings = [traced for traced in settings if traced.source != DEFAULT]
    table = Table("setting", "value", "from")
    for traced in settings:
        table.add_row(traced.path, escape(value_text(traced.value)), escape(traced.source))
    output.print(table)
    folders = _folders()
    for folder in folders:
        output.results.print(
            f"{folder.path}: {escape(str(folder.value))} ({escape(folder.source)})", soft_wrap=True
        )
    if json_path is not None:
        write_json(json_path, {"settings": _as_json(settings), "folders": _as_json(folders)})


def _folders() -> list[TracedSetting]:
    """The folders that belong to the machine, not to a run."""
    return [
        TracedSetting("data", str(data_roots(None)[0]), _environment("FRCNN_DATA")),
        TracedSetting("cache", str(cache_folder()), _environment("FRCNN_CACHE")),
    ]


def _environment(name: str) -> str:
    return f"${name}" if os.environ.get(name) else "default"


def _as_json(settings: list[TracedSetting]) -> list[dict[str, Any]]:
    return [
        {"name": traced.path, "value": traced.value, "from": traced.source} for traced in settings
    ]


DEFAULT = "default"


@dataclass(frozen=True)
class TracedSetting:
    """One setting: its path (`section.name`), its value, and where that comes from."""

    path: str
    value: Any
    source: str


def settings_of_options(options: SettingOptions) -> list[TracedSetting]:
    """The settings that the options describe. Raises as `experiment_from`."""
    base, changes = base_and_changes(options)
    of_base = f"preset {options.preset or PRESETS[0].name}"
    if options.preset is None and base.backbone != PRESETS[0].backbone:
        of_base = f"backbone {base.backbone}"
    usual = values_of(base_experiment(None))
    sources = {
        path: DEFAULT if value == usual[path] else of_base
        for path, value in values_of(base).items()
    }
    for change in changes:
        sources[change.path] = change.where
    if sources["data.root"] == DEFAULT and os.environ.get("FRCNN_DATA"):
        sources["data.root"] = "$FRCNN_DATA"
    values = values_of(experiment_from(options))
    return [TracedSetting(path, value, sources[path]) for path, value in values.items()]


def settings_of_run(path: Path) -> list[TracedSetting]:
    """The settings of a run, or those that a model file stores.

    Raises MisuseError or InputError where there is neither.
    """
    setting = path / SETTING_FILE
    if setting.is_file():
        experiment, source = override(Experiment(), read_toml(setting)), str(setting)
    else:
        file = find_model(path, path.parent)
        architecture, origin = read_architecture(file), read_description(file)["origin"]
        experiment, source = stored_experiment(origin, architecture, file), str(file)
    usual = values_of(base_experiment(None))
    return [
        TracedSetting(name, value, DEFAULT if value == usual[name] else source)
        for name, value in values_of(experiment).items()
    ]


@click.group()
def config() -> None:
    """Show the effective settings, and where each comes from.

    \b
    frcnn config show voc2007 --preset paper-l
    """


config.add_command(show)
