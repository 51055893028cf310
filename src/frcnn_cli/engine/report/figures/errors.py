"""What each kind of error costs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from frcnn_cli.engine.evaluation.errors import KINDS
from frcnn_cli.engine.report.figures.style import SERIES, Plot, finished, label_bar, new_figure
from frcnn_cli.engine.report.overlay import KIND_NAMES
from frcnn_cli.engine.report.records import Subject


def errors_plot(subjects: Sequence[Subject]) -> Plot:
    """A bar for each kind and subject: the mAP that correcting it alone would add."""
    names = [KIND_NAMES[kind] for kind in KINDS][::-1]
    figure = new_figure(2.6 if len(subjects) == 1 else 3.7)
    axes = figure.subplots()
    thickness = 0.7 / len(subjects)
    words = []
    for index, subject in enumerate(subjects):
        gains = [100 * (subject.evaluation.errors.gain(kind) or 0.0) for kind in KINDS][::-1]
        places = np.arange(len(names)) + thickness * ((len(subjects) - 1) / 2 - index)
        axes.barh(places, gains, thickness * 0.94, color=SERIES[index], label=subject.name)
        for place, gain in zip(places, gains, strict=True):
            label_bar(axes, max(gain, 0.0), place, f"{gain:+.1f}")
        words += [f"{name} {gain:.1f}" for name, gain in zip(names, gains, strict=True)][::-1]
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="mAP points gained if corrected")
    axes.margins(x=0.12)
    axes.grid(axis="y", visible=False)
    if len(subjects) > 1:
        figure.legend(loc="outside upper left", ncols=2)
    alt = f"What correcting each kind of error alone would add to the mAP: {', '.join(words)}."
    return finished(figure, "errors", "What the errors cost", alt)
