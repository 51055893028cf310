"""Recall of the proposals: no detector exceeds it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from frcnn_cli.engine.drawing.figures import (
    FIRST,
    SECOND,
    SERIES,
    THIRD,
    Plot,
    finished,
    label_bar,
    new_figure,
)
from frcnn_cli.engine.evaluation.errors import KINDS
from frcnn_cli.engine.evaluation.recall import RecallReport
from frcnn_cli.engine.report.overlay import KIND_NAMES
from frcnn_cli.engine.report.records import Subject


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
