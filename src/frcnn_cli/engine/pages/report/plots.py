"""The report's plots: precision, errors, recall of the proposals, time."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from frcnn_cli.engine.drawing.figures import (
    DASHES,
    MUTED,
    SERIES,
    SMALL,
    Plot,
    figure_file,
    finished,
    new_figure,
    page_svg,
)
from frcnn_cli.engine.evaluation.errors import KINDS
from frcnn_cli.engine.evaluation.recall import RecallReport
from frcnn_cli.engine.evaluation.recall_figures import (
    NOT_DIFFICULT,
    draw_recall_by_count,
    draw_recall_by_iou,
)
from frcnn_cli.engine.evaluation.voc import Curve
from frcnn_cli.engine.pages.report.overlay import KIND_NAMES
from frcnn_cli.engine.pages.report.records import Subject
from frcnn_proposals.wording import counted

MOST_CLASSES = 100  # maximum number of classes with bars and curves
_POINTS = 150  # maximum number of points per curve
_BAR_TEXT: dict[str, Any] = {
    "xytext": (3, 0),
    "textcoords": "offset points",
    "va": "center",
    "fontsize": SMALL,
    "color": MUTED,
}
_PANEL_WIDTH = 1.9  # inches; of the curves of one class


@dataclass(frozen=True)
class Bars:
    """One series of horizontal bars. colour: index in SERIES. texts: labels at the bars' ends."""

    label: str
    colour: int
    values: list[float]
    texts: list[str]


def draw_bars(
    names: Sequence[str],
    series: Sequence[Bars],
    height: float,
    axes_style: dict[str, Any],
    thickness: float = 0.7,
    legend_columns: int = 2,
) -> Figure:
    """A figure with a group of bars per name, one bar per series.

    height: of the figure, in inches. thickness: of a group; 1 leaves no gap.
    """
    figure = new_figure(height)
    axes = figure.subplots()
    pitch = thickness / len(series)
    for order, bars in enumerate(series):
        rows = np.arange(len(names)) + pitch * ((len(series) - 1) / 2 - order)
        axes.barh(rows, bars.values, pitch * 0.94, color=SERIES[bars.colour], label=bars.label)
        for row, value, text in zip(rows, bars.values, bars.texts, strict=True):
            axes.annotate(text, (max(value, 0.0), row), **_BAR_TEXT)
    axes.set_yticks(range(len(names)), names)
    axes.grid(axis="y", visible=False)
    axes.set(**axes_style)
    if len(series) > 1:
        figure.legend(loc="outside upper left", ncols=legend_columns)
    return figure


def average_precision_plot(subjects: Sequence[Subject]) -> Plot:
    """A bar per class and subject, the best class first."""
    values = [
        {item.name: item.ap_11point for item in subject.evaluation.voc.per_class}
        for subject in subjects
    ]
    names = [name for name, value in values[0].items() if value is not None]
    names = sorted(names, key=lambda name: values[0][name] or 0.0)[-MOST_CLASSES:]
    series = []
    for index, subject in enumerate(subjects):
        widths = [100 * (values[index][name] or 0.0) for name in names]
        series.append(Bars(subject.name, index, widths, [f"{width:.1f}" for width in widths]))
    height = 0.75 + len(names) * (0.2 if len(subjects) == 1 else 0.4)
    style = {"xlim": (0, 108), "xlabel": "AP", "ylim": (-0.6, len(names) - 0.4)}
    figure = draw_bars(names, series, height, style, thickness=0.72)
    best, worst = (names[-1], names[0]) if names else ("none", "none")
    classes = counted(len(names), "class", "classes")
    alt = f"Average precision of {classes}; highest {best}, lowest {worst}."
    return finished(figure, "average-precision", "Average precision, 11-point", alt)


def errors_plot(subjects: Sequence[Subject]) -> Plot:
    """A bar per kind and subject: the mAP gained if only this kind of error were corrected."""
    names = [KIND_NAMES[kind] for kind in KINDS][::-1]
    series, words = [], []
    for index, subject in enumerate(subjects):
        gains = [100 * (subject.evaluation.errors.gain(kind) or 0.0) for kind in KINDS][::-1]
        series.append(Bars(subject.name, index, gains, [f"{gain:+.1f}" for gain in gains]))
        words += [f"{name} {gain:.1f}" for name, gain in zip(names, gains, strict=True)][::-1]
    style = {"xlabel": "mAP points gained if corrected", "xmargin": 0.12}
    figure = draw_bars(names, series, 2.6 if len(subjects) == 1 else 3.7, style)
    alt = f"mAP points gained if only this kind of error were corrected: {', '.join(words)}."
    return finished(figure, "errors", "Cost of errors", alt)


def stages_plot(subjects: Sequence[Subject]) -> Plot | None:
    """A bar per stage and subject; None if no subject was timed."""
    timed = [(index, subject) for index, subject in enumerate(subjects) if subject.stages]
    if not timed:
        return None
    names = list(dict.fromkeys(name for _, subject in timed for name in subject.stages))[::-1]
    series = []
    for index, subject in timed:
        total = sum(subject.stages.values())
        values = [1000 * subject.stages.get(name, 0.0) for name in names]
        texts = [f"{value:.1f} ms, {value / total / 1000:.0%}" for value in values]
        series.append(Bars(f"{subject.name}, {1000 * total:.0f} ms", index, values, texts))
    style = {"xlabel": "milliseconds per image", "xmargin": 0.3}
    figure = draw_bars(names, series, 2.5 if len(timed) == 1 else 3.9, style, legend_columns=1)
    words = "; ".join(
        f"{subject.name}: "
        + ", ".join(f"{name} {1000 * value:.1f}" for name, value in subject.stages.items())
        for _, subject in timed
    )
    alt = f"Milliseconds per image by stage. {words}."
    return finished(figure, "time-by-stage", "Time by stage", alt)


def recall_against_iou(recall: RecallReport) -> Plot:
    """Plot the fraction of objects that have a proposal with at least this IoU."""
    figure = new_figure(3.0)
    result = recall.not_difficult
    draw_recall_by_iou(figure.subplots(), {NOT_DIFFICULT: result})
    words = f"{result.overall.recall_50:.3f} at IoU 0.5, {result.overall.recall_70:.3f} at 0.7"
    alt = f"Recall of all proposals against IoU: {words}."
    return finished(figure, "proposal-recall-by-iou", "Recall against IoU", alt)


def recall_against_count(recall: RecallReport) -> Plot:
    """Plot the recall of the first n proposals per image."""
    figure = new_figure(3.0)
    draw_recall_by_count(figure.subplots(), {NOT_DIFFICULT: recall.not_difficult})
    most = max(1, recall.not_difficult.by_count[-1][0])
    alt = f"Recall and overlap of the first proposals per image, up to {most}."
    return finished(figure, "proposal-recall-by-count", "Recall by number of proposals", alt)


def curves_png(subjects: Sequence[Subject]) -> bytes:
    """The precision-recall curves of all classes in one figure, for papers."""
    names = [curve.name for curve in subjects[0].curves][:MOST_CLASSES]
    columns = _columns(len(names))
    rows = max(1, math.ceil(len(names) / columns))
    figure = new_figure(1.6 * rows + 0.6, width=_PANEL_WIDTH * columns + 0.4)
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    for number, axes in enumerate(panels):
        if number >= len(names):
            axes.remove()
            continue
        _draw_curves(axes, names[number], subjects)
        axes.set_title(names[number])
        # Ticks without numbers if the panel below, or to the left, has them.
        axes.tick_params(
            labelbottom=number + columns >= len(names), labelleft=number % columns == 0
        )
    figure.supxlabel("recall", color=MUTED, fontsize=9.5)
    figure.supylabel("precision", color=MUTED, fontsize=9.5)
    if len(subjects) > 1 and names:
        figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper left", ncols=2)
    return figure_file(figure)


def _columns(panels: int) -> int:
    """The number of columns, 3 to 5, that leaves the fewest cells empty; up to 3 fill one row."""
    if panels <= 3:
        return max(1, panels)
    return min((5, 4, 3), key=lambda columns: -panels % columns)


def curve_panels(subjects: Sequence[Subject]) -> tuple[tuple[str, Markup], ...]:
    """(class, curves as SVG for the page) of the first MOST_CLASSES classes."""
    panels = []
    for number, curve in enumerate(subjects[0].curves[:MOST_CLASSES]):
        figure = new_figure(1.7, width=_PANEL_WIDTH)
        _draw_curves(figure.subplots(), curve.name, subjects)
        alt = f"Precision against recall of {curve.name}: {_in_words(curve)}"
        panels.append((curve.name, page_svg(figure, f"curve-{number}", alt)))
    return tuple(panels)


def _draw_curves(axes: Axes, name: str, subjects: Sequence[Subject]) -> None:
    for index, subject in enumerate(subjects):
        for curve in subject.curves:
            if curve.name == name:
                recall, precision = curve.thinned(_POINTS)
                axes.plot(recall, precision, DASHES[index], color=SERIES[index], label=subject.name)
    axes.set(xlim=(0, 1.03), ylim=(-0.02, 1.03))
    axes.set_xticks((0, 0.5, 1), ("0", "0.5", "1"))
    axes.set_yticks((0, 0.5, 1), ("0", "0.5", "1"))


def _in_words(curve: Curve) -> str:
    if len(curve.recall) == 0:
        return "no detections."
    half = np.searchsorted(curve.recall, 0.5)
    at_half = (
        f"precision {curve.precision[half]:.2f} at recall 0.5, " if half < len(curve.recall) else ""
    )
    return f"{at_half}final recall {curve.recall[-1]:.2f}."
