"""Where the time of a detection goes (paper, figure 2)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from frcnn_cli.engine.report.figures.style import SERIES, Plot, finished, label_bar, new_figure
from frcnn_cli.engine.report.records import Subject


def stages_plot(subjects: Sequence[Subject]) -> Plot | None:
    """A bar for each stage and subject; None where no subject was timed."""
    timed = [(index, each) for index, each in enumerate(subjects) if each.stages]
    if not timed:
        return None
    names = list(timed[0][1].stages)[::-1]
    figure = new_figure(2.5 if len(timed) == 1 else 3.9)
    axes = figure.subplots()
    thickness = 0.7 / len(timed)
    for order, (index, subject) in enumerate(timed):
        total = sum(subject.stages.values())
        values = [1000 * subject.stages[name] for name in names]
        places = np.arange(len(names)) + thickness * ((len(timed) - 1) / 2 - order)
        label = f"{subject.name}, {1000 * total:.0f} ms"
        axes.barh(places, values, thickness * 0.94, color=SERIES[index], label=label)
        for place, value in zip(places, values, strict=True):
            label_bar(axes, value, place, f"{value:.1f} ms, {value / total / 1000:.0%}")
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="milliseconds an image")
    axes.margins(x=0.3)
    axes.grid(axis="y", visible=False)
    if len(timed) > 1:
        figure.legend(loc="outside upper left", ncols=1)
    words = "; ".join(
        f"{subject.name}: "
        + ", ".join(f"{name} {1000 * value:.1f}" for name, value in subject.stages.items())
        for _, subject in timed
    )
    alt = f"Milliseconds an image by stage. {words}."
    return finished(figure, "time-by-stage", "Time by stage", alt)
