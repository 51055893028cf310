"""Recall of proposals as a picture; no display is needed."""

from __future__ import annotations

import io
from typing import Any

from frcnn_cli.engine.evaluation.recall import RecallReport, RecallResult
from frcnn_proposals.errors import InputError

_ALL, _NOT_DIFFICULT = "all objects", "not difficult"


def recall_plot(report: RecallReport, title: str) -> bytes:
    """A PNG of three panels: recall against IoU, against the number of boxes, and by class.

    Raises InputError if matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError("the plot needs matplotlib: pip install matplotlib") from error
    figure = Figure(figsize=(16, 5), layout="constrained")
    against_iou, against_count, of_classes = figure.subplots(1, 3)
    for name, result in ((_ALL, report.all_objects), (_NOT_DIFFICULT, report.not_difficult)):
        _draw_against_iou(against_iou, name, result)
        _draw_against_count(against_count, name, result)
    _draw_classes(of_classes, report)
    figure.suptitle(f"{title}: {report.images} images, {report.boxes:.0f} boxes an image")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def _draw_against_iou(axes: Any, name: str, result: RecallResult) -> None:
    thresholds, recalls = zip(*result.recall, strict=True)
    label = f"{name}: average recall {result.overall.average_recall:.3f}"
    axes.plot(thresholds, recalls, marker="o", markersize=3, label=label)
    axes.set(xlabel="IoU", ylabel="recall", ylim=(0, 1), title="Recall against IoU")
    axes.grid(alpha=0.3)
    axes.legend()


def _draw_against_count(axes: Any, name: str, result: RecallResult) -> None:
    counts = [max(1, count) for count, _, _ in result.by_count]
    values = {
        "recall at IoU 0.5": [coverage.recall_50 for _, _, coverage in result.by_count],
        "recall at IoU 0.7": [coverage.recall_70 for _, _, coverage in result.by_count],
        "MABO": [mabo for _, mabo, _ in result.by_count],
    }
    style = "-" if name == _ALL else "--"
    for colour, (what, series) in zip(("C0", "C1", "C2"), values.items(), strict=True):
        axes.plot(counts, series, style, color=colour, label=f"{what}, {name}")
    axes.set(xscale="log", xlabel="boxes an image", ylim=(0, 1), title="By the number of boxes")
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small")


def _draw_classes(axes: Any, report: RecallReport) -> None:
    names = list(report.all_objects.by_class)[::-1]
    groups = {_ALL: report.all_objects, _NOT_DIFFICULT: report.not_difficult}
    for index, (label, result) in enumerate(groups.items()):
        overlaps = [result.by_class[n].best_overlap if n in result.by_class else 0 for n in names]
        places = [place + 0.2 - 0.4 * index for place in range(len(names))]
        axes.barh(places, overlaps, height=0.4, label=f"{label}: MABO {result.mabo:.3f}")
    axes.set_yticks(range(len(names)), names, fontsize="small")
    axes.set(xlim=(0, 1), xlabel="mean best overlap", title="By class")
    axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(0, -0.12), ncols=2)
