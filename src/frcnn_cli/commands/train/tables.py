"""Experiments as tables."""

from __future__ import annotations

from collections import deque
from typing import Any

from rich.markup import escape
from rich.table import Table

from frcnn_cli.engine.models.presets import PRESETS, VARIANTS, base_experiment
from frcnn_cli.engine.settings import Experiment
from frcnn_cli.engine.settings.fields import nested, values_of
from frcnn_cli.engine.training.run import StepReport


def setting_table(experiment: Experiment) -> Table:
    """The complete setting, a row a section; what is empty is left out."""
    table = Table("section", "setting", title="Setting", title_justify="left")
    sections: dict[str, dict[str, Any]] = {"": {}}
    for name, value in nested(experiment).items():
        if isinstance(value, dict):
            sections[name] = value
        else:
            sections[""][name] = value
    for name, values in sections.items():
        said = [
            f"[dim]{key}[/] {escape(value_text(v))}"
            for key, v in values.items()
            if v not in ("", [])
        ]
        table.add_row(name, ", ".join(said))
    return table


def presets_table() -> Table:
    """Every field of every base, side by side."""
    experiments = [values_of(base_experiment(preset.name)) for preset in PRESETS]
    table = Table(title="Presets")
    table.add_column("setting", no_wrap=True)
    for preset in PRESETS:
        table.add_column(preset.name, overflow="fold")
    table.add_row("", *(preset.summary for preset in PRESETS), end_section=True)
    for path in experiments[0]:
        table.add_row(path, *(escape(value_text(values[path])) for values in experiments))
    return table


def variants_table() -> Table:
    """What each variant changes, of the default base and of the paper's."""
    lite, paper = PRESETS[0], PRESETS[-1]
    table = Table("variant", "what", "changes", title="Variants of any preset")
    for variant in VARIANTS:
        of_lite = variant.changes(base_experiment(lite.name))
        lines = []
        for path, value in variant.changes(base_experiment(paper.name)).items():
            other = of_lite[path]
            beside = "" if other == value else f" ({lite.name}: {value_text(other)})"
            lines.append(escape(f"{path} = {value_text(value)}{beside}"))
        table.add_row(variant.name, variant.summary, "\n".join(lines))
    return table


def value_text(value: Any) -> str:
    """A setting's value as a person reads it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list | tuple):
        return " ".join(value_text(each) for each in value)
    return f"{value:g}" if isinstance(value, float) else str(value)


_STEPS = 20  # over which the pace is averaged


class TrainingLine:
    """The text beside the bar: losses, learning rate, pace, the last evaluation."""

    def __init__(self) -> None:
        self._recent: deque[StepReport] = deque(maxlen=_STEPS)

    def __call__(self, step: StepReport) -> str:
        self._recent.append(step)
        seconds = sum(each.seconds for each in self._recent)
        pace = sum(each.images for each in self._recent) / max(seconds, 1e-9)
        line = (
            f"loss {step.loss:.3f} (class {step.classification:.3f}, boxes "
            f"{step.box_regression:.3f}), rate {step.learning_rate:.2g}, {pace:.1f} images/s"
        )
        if step.evaluation is not None:
            line += f", val mAP {100 * step.evaluation:.1f}"
        return line
