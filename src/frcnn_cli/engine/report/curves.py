"""The report's lines: training, recall of the proposals, precision against recall."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from markupsafe import Markup
from matplotlib.axes import Axes

from frcnn_cli.engine.drawing.figures import (
    FIRST,
    MUTED,
    SECOND,
    SERIES,
    THIRD,
    Plot,
    finished,
    new_figure,
    page_svg,
    png,
)
from frcnn_cli.engine.evaluation.curves import Curve
from frcnn_cli.engine.evaluation.recall import RecallReport
from frcnn_cli.engine.report.records import Subject
from frcnn_cli.engine.training.loss_figure import draw_losses

MOST_CLASSES = 100  # whose curves are drawn
_POINTS = 150
_COLUMNS = 5


def loss_plot(subjects: Sequence[Subject]) -> Plot | None:
    """The losses of each subject that has a log; None where none has."""
    logged = _logged(subjects, "iterations")
    if not logged:
        return None
    figure = new_figure(3.0)
    axes = figure.subplots()
    for index, subject in logged:
        prefix = f"{subject.name}, " if len(logged) > 1 else ""
        draw_losses(axes, subject.log, SERIES[index], prefix)
    axes.set(xlabel="iteration", ylim=(0, None))
    axes.legend()
    words = "; ".join(
        f"{subject.name}: from {_mean(subject, 0, 20):.2f} to {_mean(subject, -20, None):.2f} "
        f"after {subject.log.iterations[-1]} iterations"
        for _, subject in logged
    )
    return finished(figure, "training-loss", "Loss", f"Total loss during training. {words}.")


def average_plot(subjects: Sequence[Subject]) -> Plot | None:
    """mAP where training measured it; None where it did not."""
    logged = _logged(subjects, "averages")
    if not logged:
        return None
    figure = new_figure(3.0)
    axes = figure.subplots()
    for index, subject in logged:
        iterations, averages = zip(*subject.log.averages, strict=True)
        values = [100 * value for value in averages]
        axes.plot(iterations, values, "o-", markersize=4, color=SERIES[index], label=subject.name)
    axes.set(xlabel="iteration", ylabel="mAP", ylim=(0, None))
    if len(logged) > 1:
        axes.legend()
    words = "; ".join(f"{s.name} ends at {100 * s.log.averages[-1][1]:.1f}" for _, s in logged)
    return finished(figure, "training-map", "mAP", f"mAP during training. {words}.")


def recall_against_iou(recall: RecallReport) -> Plot:
    """How many objects have a proposal of at least this overlap."""
    figure = new_figure(3.0)
    axes = figure.subplots()
    result = recall.not_difficult
    thresholds, values = zip(*result.recall, strict=True)
    axes.plot(thresholds, values, "o-", markersize=3.5, color=FIRST)
    axes.set(xlabel="IoU", ylabel="recall", xlim=(0.5, 1), ylim=(0, 1.02))
    words = f"{result.overall.recall_50:.3f} at IoU 0.5, {result.overall.recall_70:.3f} at 0.7"
    alt = f"Recall of all proposals against IoU: {words}."
    return finished(figure, "proposal-recall-by-iou", "Recall against IoU", alt)


def recall_against_count(recall: RecallReport) -> Plot:
    """What the first n proposals of every image cover."""
    figure = new_figure(3.0)
    axes = figure.subplots()
    rows = recall.not_difficult.by_count
    counts = [max(1, count) for count, _, _ in rows]
    series = {
        "recall at IoU 0.5": [coverage.recall_50 for _, _, coverage in rows],
        "recall at IoU 0.7": [coverage.recall_70 for _, _, coverage in rows],
        "mean best overlap (MABO)": [mabo for _, mabo, _ in rows],
    }
    styles = zip((FIRST, SECOND, THIRD), ("-", "--", ":"), strict=True)
    for (name, values), (colour, dashes) in zip(series.items(), styles, strict=True):
        axes.plot(counts, values, dashes, color=colour, label=name)
    axes.set(xscale="log", xlabel="proposals an image", ylim=(0, 1.02))
    axes.minorticks_off()
    axes.xaxis.set_major_formatter(lambda count, _: f"{count:,.0f}")
    axes.legend(loc="lower right")
    alt = f"Recall and overlap of the first 1 to {counts[-1]} proposals of every image."
    return finished(figure, "proposal-recall-by-count", "By the number of proposals", alt)


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


def _logged(subjects: Sequence[Subject], what: str) -> list[tuple[int, Subject]]:
    """The subjects that logged it; a compressed model has its run's log, which is drawn once."""
    logged: list[tuple[int, Subject]] = []
    for index, subject in enumerate(subjects):
        if getattr(subject.log, what) and all(subject.log != other.log for _, other in logged):
            logged.append((index, subject))
    return logged


def _mean(subject: Subject, first: int, last: int | None) -> float:
    return float(np.mean(subject.log.losses["total"][first:last]))


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
    points = np.unique(np.searchsorted(curve.recall, bounds).clip(max=len(curve.recall) - 1))
    return curve.recall[points].tolist(), curve.precision[points].tolist()


def _in_words(curve: Curve) -> str:
    if len(curve.recall) == 0:
        return "no detections."
    half = np.searchsorted(curve.recall, 0.5)
    at_half = (
        f"precision {curve.precision[half]:.2f} at recall 0.5, " if half < len(curve.recall) else ""
    )
    return f"{at_half}recall {curve.recall[-1]:.2f} in the end."
