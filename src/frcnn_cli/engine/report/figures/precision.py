"""Average precision by class, and the curves behind it."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes

from frcnn_cli.engine.drawing.figures import (
    MUTED,
    SERIES,
    Plot,
    finished,
    label_bar,
    new_figure,
    page_svg,
    png,
)
from frcnn_cli.engine.evaluation.curves import Curve
from frcnn_cli.engine.report.records import Subject

MOST_CLASSES = 100
_POINTS = 150
_COLUMNS = 5


def average_precision_plot(subjects: Sequence[Subject]) -> Plot:
    """A bar a class and subject, the best class first."""
    values = [
        {item.name: item.ap_11point for item in each.evaluation.voc.per_class} for each in subjects
    ]
    names = [name for name, value in values[0].items() if value is not None]
    names = sorted(names, key=lambda name: values[0][name] or 0.0)[-MOST_CLASSES:]
    figure = new_figure(0.75 + len(names) * (0.2 if len(subjects) == 1 else 0.34))
    axes = figure.subplots()
    thickness = 0.72 / len(subjects)
    for index, subject in enumerate(subjects):
        places = np.arange(len(names)) + thickness * ((len(subjects) - 1) / 2 - index)
        widths = [100 * (values[index][name] or 0.0) for name in names]
        axes.barh(places, widths, thickness * 0.94, color=SERIES[index], label=subject.name)
        for place, width in zip(places, widths, strict=True):
            label_bar(axes, width, place, f"{width:.1f}")
    axes.set_yticks(range(len(names)), names)
    axes.set(xlim=(0, 108), xlabel="AP", ylim=(-0.6, len(names) - 0.4))
    axes.grid(axis="y", visible=False)
    if len(subjects) > 1:
        figure.legend(loc="outside upper left", ncols=2)
    best, worst = (names[-1], names[0]) if names else ("none", "none")
    alt = f"Average precision of {len(names)} classes; highest {best}, lowest {worst}."
    return finished(figure, "average-precision", "Average precision, 11-point", alt)


def curves_png(subjects: Sequence[Subject]) -> bytes:
    """All classes' precision-recall curves in one picture, for papers."""
    names = [curve.name for curve in subjects[0].curves][:MOST_CLASSES]
    rows = max(1, math.ceil(len(names) / _COLUMNS))
    figure = new_figure(1.5 * rows + 0.5, width=8.0)
    panels = figure.subplots(rows, _COLUMNS, sharex=True, sharey=True, squeeze=False).flat
    for name, axes in zip(names, panels, strict=False):
        _draw_curves(axes, name, subjects)
        axes.set_title(name, fontsize=8.5)
    for axes in list(panels)[len(names) :]:
        axes.set_visible(False)
    figure.supxlabel("recall", color=MUTED, fontsize=9)
    figure.supylabel("precision", color=MUTED, fontsize=9)
    if len(subjects) > 1:
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper left", ncols=2)
    return png(figure)


def curve_panels(subjects: Sequence[Subject]) -> tuple[tuple[str, Markup], ...]:
    """(class, its curves as SVG for the page), the first MOST_CLASSES of them."""
    panels = []
    for number, curve in enumerate(subjects[0].curves[:MOST_CLASSES]):
        figure = new_figure(1.75, width=2.1)
        _draw_curves(figure.subplots(), curve.name, subjects)
        alt = f"Precision against recall of {curve.name}: {_in_words(curve)}"
        panels.append((curve.name, page_svg(figure, f"curve-{number}", alt)))
    return tuple(panels)


def _draw_curves(axes: Axes, name: str, subjects: Sequence[Subject]) -> None:
    for index, subject in enumerate(subjects):
        for curve in subject.curves:
            if curve.name == name:
                recall, precision = _thinned(curve)
                axes.plot(recall, precision, color=SERIES[index], label=subject.name)
    axes.set(xlim=(0, 1), ylim=(0, 1.03))
    axes.set_xticks((0, 0.5, 1), ("0", "0.5", "1"))
    axes.set_yticks((0, 0.5, 1), ("", "0.5", "1"))


def _thinned(curve: Curve) -> tuple[list[float], list[float]]:
    """At most _POINTS of a curve's points, evenly by recall, each the best of its stretch."""
    if len(curve.recall) == 0:
        return [], []
    bounds = np.linspace(0, curve.recall[-1], _POINTS)
    places = np.unique(np.searchsorted(curve.recall, bounds).clip(max=len(curve.recall) - 1))
    return curve.recall[places].tolist(), curve.precision[places].tolist()


def _in_words(curve: Curve) -> str:
    if len(curve.recall) == 0:
        return "no detections."
    half = np.searchsorted(curve.recall, 0.5)
    at_half = (
        f"precision {curve.precision[half]:.2f} at recall 0.5, " if half < len(curve.recall) else ""
    )
    return f"{at_half}recall {curve.recall[-1]:.2f} in the end."
