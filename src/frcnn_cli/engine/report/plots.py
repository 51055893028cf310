"""The report's plots: one for each section of the page, most of them bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes

from frcnn_cli.engine.drawing.figures import SERIES, Plot, finished, label_bar, new_figure, style
from frcnn_cli.engine.evaluation.errors import KINDS
from frcnn_cli.engine.report.curves import (
    MOST_CLASSES,
    average_plot,
    curve_panels,
    curves_png,
    loss_plot,
    recall_against_count,
    recall_against_iou,
)
from frcnn_cli.engine.report.overlay import KIND_NAMES
from frcnn_cli.engine.report.records import Report, Subject

# Every file that a report may have beside its page.
PLOT_FILES = (
    "average-precision.png",
    "errors.png",
    "precision-recall.png",
    "proposal-recall-by-count.png",
    "proposal-recall-by-iou.png",
    "time-by-stage.png",
    "training-loss.png",
    "training-map.png",
)


@dataclass(frozen=True)
class Plots:
    """The plots by section of the page; panels: (class, SVG) of the precision-recall curves."""

    training: tuple[Plot, ...]
    precision: Plot
    panels: tuple[tuple[str, Markup], ...]
    errors: Plot
    recall: tuple[Plot, ...]
    stages: Plot | None
    curves: bytes

    def files(self) -> dict[str, bytes]:
        """File name -> PNG."""
        plots = [*self.training, self.precision, self.errors, *self.recall]
        plots += [] if self.stages is None else [self.stages]
        files = {f"{plot.name}.png": plot.png for plot in plots}
        return files | {"precision-recall.png": self.curves}


def draw_plots(report: Report) -> Plots:
    """Draw everything there is data for."""
    with style():
        training = (loss_plot(report.subjects), average_plot(report.subjects))
        recall = report.recall
        return Plots(
            tuple(plot for plot in training if plot is not None),
            average_precision_plot(report.subjects),
            curve_panels(report.subjects),
            errors_plot(report.subjects),
            () if recall is None else (recall_against_iou(recall), recall_against_count(recall)),
            stages_plot(report.subjects),
            curves_png(report.subjects),
        )


def average_precision_plot(subjects: Sequence[Subject]) -> Plot:
    """A bar per class and subject, the best class first."""
    values = [
        {item.name: item.ap_11point for item in subject.evaluation.voc.per_class}
        for subject in subjects
    ]
    names = [name for name, value in values[0].items() if value is not None]
    names = sorted(names, key=lambda name: values[0][name] or 0.0)[-MOST_CLASSES:]
    figure = new_figure(0.75 + len(names) * (0.2 if len(subjects) == 1 else 0.34))
    axes = figure.subplots()
    series = []
    for index, subject in enumerate(subjects):
        widths = [100 * (values[index][name] or 0.0) for name in names]
        series.append(_Bars(subject.name, index, widths, [f"{width:.1f}" for width in widths]))
    _draw_bars(axes, names, series, 0.72)
    axes.set(xlim=(0, 108), xlabel="AP", ylim=(-0.6, len(names) - 0.4))
    if len(subjects) > 1:
        figure.legend(loc="outside upper left", ncols=2)
    best, worst = (names[-1], names[0]) if names else ("none", "none")
    alt = f"Average precision of {len(names)} classes; highest {best}, lowest {worst}."
    return finished(figure, "average-precision", "Average precision, 11-point", alt)


def errors_plot(subjects: Sequence[Subject]) -> Plot:
    """A bar for each kind and subject: the mAP that correcting it alone would add."""
    names = [KIND_NAMES[kind] for kind in KINDS][::-1]
    figure = new_figure(2.6 if len(subjects) == 1 else 3.7)
    axes = figure.subplots()
    series, words = [], []
    for index, subject in enumerate(subjects):
        gains = [100 * (subject.evaluation.errors.gain(kind) or 0.0) for kind in KINDS][::-1]
        series.append(_Bars(subject.name, index, gains, [f"{gain:+.1f}" for gain in gains]))
        words += [f"{name} {gain:.1f}" for name, gain in zip(names, gains, strict=True)][::-1]
    _draw_bars(axes, names, series)
    axes.set(xlabel="mAP points gained if corrected")
    axes.margins(x=0.12)
    if len(subjects) > 1:
        figure.legend(loc="outside upper left", ncols=2)
    alt = f"What correcting each kind of error alone would add to the mAP: {', '.join(words)}."
    return finished(figure, "errors", "What the errors cost", alt)


def stages_plot(subjects: Sequence[Subject]) -> Plot | None:
    """A bar for each stage and subject; None where no subject was timed."""
    timed = [(index, subject) for index, subject in enumerate(subjects) if subject.stages]
    if not timed:
        return None
    names = list(timed[0][1].stages)[::-1]
    figure = new_figure(2.5 if len(timed) == 1 else 3.9)
    axes = figure.subplots()
    series = []
    for index, subject in timed:
        total = sum(subject.stages.values())
        values = [1000 * subject.stages[name] for name in names]
        texts = [f"{value:.1f} ms, {value / total / 1000:.0%}" for value in values]
        series.append(_Bars(f"{subject.name}, {1000 * total:.0f} ms", index, values, texts))
    _draw_bars(axes, names, series)
    axes.set(xlabel="milliseconds an image")
    axes.margins(x=0.3)
    if len(timed) > 1:
        figure.legend(loc="outside upper left", ncols=1)
    words = "; ".join(
        f"{subject.name}: "
        + ", ".join(f"{name} {1000 * value:.1f}" for name, value in subject.stages.items())
        for _, subject in timed
    )
    alt = f"Milliseconds an image by stage. {words}."
    return finished(figure, "time-by-stage", "Time by stage", alt)


@dataclass(frozen=True)
class _Bars:
    """One subject's bars. index: of its colour; texts: at the end of each bar."""

    label: str
    index: int
    values: list[float]
    texts: list[str]


def _draw_bars(
    axes: Axes, names: Sequence[str], series: Sequence[_Bars], height: float = 0.7
) -> None:
    """A group of bars for each name, one per subject. height: of a group, 1 leaves no gap."""
    thickness = height / len(series)
    for order, bars in enumerate(series):
        rows = np.arange(len(names)) + thickness * ((len(series) - 1) / 2 - order)
        axes.barh(rows, bars.values, thickness * 0.94, color=SERIES[bars.index], label=bars.label)
        for row, value, text in zip(rows, bars.values, bars.texts, strict=True):
            label_bar(axes, max(value, 0.0), row, text)
    axes.set_yticks(range(len(names)), names)
    axes.grid(axis="y", visible=False)
