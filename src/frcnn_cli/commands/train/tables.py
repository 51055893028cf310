"""Experiments as tables."""

from __future__ import annotations

from typing import Any

from rich.markup import escape
from rich.table import Table

from frcnn_cli.commands.shared.tables import FoldedTable
from frcnn_cli.engine.datasets.locate import data_roots
from frcnn_cli.engine.models.presets import PRESETS, VARIANTS, base_experiment, base_name
from frcnn_cli.engine.settings import Experiment
from frcnn_cli.engine.settings.fields import values_of


def setting_table(experiment: Experiment, preset: str | None) -> Table:
    """The settings that differ from those of the preset, or of the backbone without one.

    Values that follow from the machine or from other settings are omitted.
    """
    base = base_experiment(preset, experiment.backbone)
    before = values_of(base)
    table = FoldedTable(
        title=f"Settings other than those of {base_name(preset, base.backbone)}",
        caption="`frcnn config show` shows all settings.",
        title_justify="left",
        caption_justify="left",
    )
    table.add_column("setting", no_wrap=True)
    table.add_column("value")
    table.add_column("instead of")
    for path, value in values_of(experiment).items():
        if value != before[path] and not _follows(path, value, before[path]):
            table.add_row(path, escape(value_text(value)), escape(value_text(before[path]) or "-"))
    return table


def _follows(path: str, value: Any, before: Any) -> bool:
    """Whether a value was not chosen: the default folder, a precision, a length that is given."""
    if path == "data.root":
        return bool(value == str(data_roots(None)[0].resolve()))
    given_length = path == "schedule.shorten_below" and value == 0
    return given_length or (path == "train.precision" and before == "auto")


def presets_table() -> Table:
    """Every field of every base, side by side."""
    experiments = [values_of(base_experiment(preset.name)) for preset in PRESETS]
    table = FoldedTable(title="Presets")
    table.add_column("setting", no_wrap=True)
    for preset in PRESETS:
        table.add_column(preset.name, overflow="fold")
    table.add_row("", *(preset.summary for preset in PRESETS), end_section=True)
    for path in experiments[0]:
        table.add_row(path, *(escape(value_text(values[path])) for values in experiments))
    return table


def variants_table() -> Table:
    """What each variant changes in the default base and in the paper's."""
    lite, paper = PRESETS[0], PRESETS[-1]
    table = FoldedTable("variant", "summary", "changes", title="Variants (for any preset)")
    for variant in VARIANTS:
        of_lite = variant.changes(base_experiment(lite.name))
        lines = []
        for path, value in variant.changes(base_experiment(paper.name)).items():
            other = of_lite[path]
            in_lite = "" if other == value else f" ({lite.name}: {value_text(other)})"
            lines.append(escape(f"{path} = {value_text(value)}{in_lite}"))
        table.add_row(variant.name, variant.summary, "\n".join(lines))
    return table


def value_text(value: Any) -> str:
    """A setting's value as text for tables."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return " ".join(value_text(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
