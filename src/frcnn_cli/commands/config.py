"""`frcnn config show`: every setting of a run, with its source."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click
from rich.markup import escape

from frcnn_cli.commands.shared.console import Output, pass_output, write_json
from frcnn_cli.commands.shared.options import AnyPath, json_file, runs_root
from frcnn_cli.commands.shared.tables import FoldedTable
from frcnn_cli.commands.train.options import setting_options
from frcnn_cli.commands.train.tables import value_text
from frcnn_cli.engine.datasets.locate import data_roots
from frcnn_cli.engine.models.experiment_options import (
    SettingOptions,
    base_and_changes,
    experiment_from,
)
from frcnn_cli.engine.models.file import read_architecture, read_description
from frcnn_cli.engine.models.presets import base_experiment, base_name
from frcnn_cli.engine.models.provenance import stored_experiment
from frcnn_cli.engine.models.shipped.table import display_name
from frcnn_cli.engine.models.store import SETTING_FILE, find_model, find_run, warn_of_other_meanings
from frcnn_cli.engine.proposals.cache import cache_folder
from frcnn_cli.engine.settings import Experiment
from frcnn_cli.engine.settings.fields import values_of
from frcnn_cli.engine.settings.overrides import override, read_toml
from frcnn_proposals.errors import MisuseError


@click.command()
@click.argument("dataset", required=False)
@setting_options
@click.option(
    "--run",
    metavar="MODEL",
    type=AnyPath,
    help="Show the settings of this model instead: a file, a run by its folder or name, or a "
    "shipped model.",
)
@runs_root
@click.option("--changed", is_flag=True, help="Show only settings that differ from the default.")
@json_file
@pass_output
def show(
    output: Output,
    /,
    run: Path | None,
    runs_root: Path,
    changed: bool,
    json_path: Path | None,
    **setting: Any,
) -> None:
    """Show the settings that `frcnn train DATASET` would use with these options.

    Each setting is shown with its source: the default, the preset, a variant, the --config file
    or an option. The folders for datasets and for the cache follow. Nothing is trained.

    \b
    frcnn config show voc2007 --preset paper-l --variant multiscale
    frcnn config show --config mine.toml --set sampling.foreground_iou=0.6 --changed
    frcnn config show --run runs/voc2007-efficientnet_lite2 --json setting.json
    """
    options = SettingOptions.parse({**setting, "runs_root": runs_root})
    if run is None:
        experiment, sources = _from_options(options)
    elif options == SettingOptions(runs_root=runs_root):
        warn_of_other_meanings(output, run, runs_root)
        experiment, sources = _from_run(run, runs_root)
    else:
        raise MisuseError("--run shows the settings of a run: omit all other settings.")
    settings = [
        {"name": path, "value": value, "from": sources[path]}
        for path, value in values_of(experiment).items()
        if not (changed and sources[path] == DEFAULT)
    ]
    # These folders depend on the machine, not on the run.
    folders = [
        {"name": "data", "value": str(data_roots(None)[0]), "from": _environment("FRCNN_DATA")},
        {"name": "cache", "value": str(cache_folder()), "from": _environment("FRCNN_CACHE")},
    ]
    table = FoldedTable()
    table.add_column("setting", no_wrap=True)
    table.add_column("value")
    table.add_column("from")
    for row in settings:
        table.add_row(row["name"], escape(value_text(row["value"])), escape(row["from"]))
    output.print(table)
    for row in folders:
        line = f"{row['name']}: {escape(row['value'])} ({escape(row['from'])})"
        output.results.print(line, soft_wrap=True)
    if json_path is not None:
        write_json(json_path, {"settings": settings, "folders": folders})


DEFAULT = "default"


def _environment(name: str) -> str:
    return f"${name}" if os.environ.get(name) else DEFAULT


def _from_options(options: SettingOptions) -> tuple[Experiment, dict[str, str]]:
    """Return the experiment and the source of each value. Raises as `experiment_from`."""
    base, changes = base_and_changes(options)
    sources = _sources(base, base_name(options.preset, base.backbone)) | {
        change.path: change.where for change in changes
    }
    if sources["data.root"] == DEFAULT:
        sources["data.root"] = _environment("FRCNN_DATA")
    return experiment_from(options), sources


def _from_run(given: Path, runs_root: Path) -> tuple[Experiment, dict[str, str]]:
    """Return the same for a run or a model file. Raises MisuseError or InputError for neither."""
    path = find_run(given, runs_root)
    setting = path / SETTING_FILE
    if setting.is_file():
        experiment = override(Experiment(), read_toml(setting))
        return experiment, _sources(experiment, str(setting))
    file = find_model(path, runs_root)
    origin = read_description(file)["origin"]
    experiment = stored_experiment(origin, read_architecture(file), file)
    return experiment, _sources(experiment, display_name(file))


def _sources(experiment: Experiment, source: str) -> dict[str, str]:
    """Map the path of each value to `source`, or to DEFAULT if it is the default."""
    defaults = values_of(base_experiment(None))
    values = values_of(experiment)
    return {path: DEFAULT if values[path] == defaults[path] else source for path in values}


@click.group()
def config() -> None:
    """Show the effective settings and their sources.

    \b
    frcnn config show voc2007 --preset paper-l
    """


config.add_command(show)
