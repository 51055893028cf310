"""`frcnn config show`: every setting of a run, and who set it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click
from rich.markup import escape
from rich.table import Table

from frcnn_cli.commands import options
from frcnn_cli.commands.console import Output, pass_output, write_json
from frcnn_cli.commands.setting_origins import SetBy, asked_settings, run_settings
from frcnn_cli.commands.train_options import setting_options
from frcnn_cli.commands.train_settings import Wishes, given_options
from frcnn_cli.commands.train_tables import value_text
from frcnn_cli.engine.datasets.locate import data_roots
from frcnn_cli.engine.proposing.cache import cache_folder
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
