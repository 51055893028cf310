"""Recall of the proposals: no detector exceeds it."""

from __future__ import annotations

from frcnn_cli.engine.evaluation.recall import RecallReport
from frcnn_cli.engine.report.figures.style import FIRST, SECOND, THIRD, Plot, finished, new_figure


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
