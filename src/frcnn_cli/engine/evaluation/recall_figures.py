"""Figures of the recall of proposals: by IoU, by the number of proposals, and by class."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.axes import Axes

from frcnn_cli.engine.drawing.figures import (
    DASHES,
    MEASURES,
    PAPER,
    WIDTH,
    counts_on_x,
    figure_file,
    new_figure,
    shares_on_y,
    style,
)
from frcnn_cli.engine.evaluation.recall import RecallReport, RecallResult

RECALL_50, RECALL_70, MABO = MEASURES
ALL, NOT_DIFFICULT = "all objects", "not difficult"
_CLASS_HEIGHT = 0.34  # inches; of the two bars of a class
_PANEL = 3.0  # inches; height of a panel


def recall_plot(report: RecallReport, title: str, file_format: str = "png") -> bytes:
    """A file of three panels: recall by IoU, by number of proposals, and overlap by class."""
    groups = {ALL: report.all_objects, NOT_DIFFICULT: report.not_difficult}
    classes = 0.9 + _CLASS_HEIGHT * len(report.all_objects.by_class)
    height = max(2 * _PANEL, classes)
    with style():
        figure = new_figure(height + 0.4, width=2 * WIDTH)
        panels = figure.subplot_mosaic(
            [["iou", "class"], ["count", "class"], [".", "class"]],
            height_ratios=(_PANEL, _PANEL, max(height - 2 * _PANEL, 0.001)),
        )
        draw_recall_by_iou(panels["iou"], groups)
        draw_recall_by_count(panels["count"], groups)
        _draw_classes(panels["class"], groups)
        figure.legend(
            *panels["class"].get_legend_handles_labels(), loc="outside lower right", ncols=2
        )
        panels["iou"].set_title("Recall by IoU")
        panels["count"].set_title("By number of proposals")
        panels["class"].set_title("Mean best overlap by class")
        images = f"{report.images:,} image" + ("s" if report.images != 1 else "")
        figure.suptitle(f"{title}: {images}, {report.boxes:,.0f} proposals per image")
        return figure_file(figure, file_format)


def draw_recall_by_iou(axes: Axes, groups: Mapping[str, RecallResult]) -> None:
    """Plot the fraction of objects that have a proposal with at least this IoU, per group."""
    for (name, result), dashes in zip(groups.items(), DASHES, strict=False):
        thresholds, recalls = zip(*result.recall, strict=True)
        label = f"{name}, average recall {result.overall.average_recall:.3f}"
        axes.plot(thresholds, recalls, dashes, marker="o", color=RECALL_50, label=label)
    axes.set(xlabel="IoU", xlim=(0.485, 1.015), xticks=(0.5, 0.6, 0.7, 0.8, 0.9, 1))
    axes.xaxis.set_major_formatter("{x:g}")  # 1, as on the other axis
    shares_on_y(axes, "recall")
    if len(groups) > 1:
        axes.legend(loc="lower left")


def draw_recall_by_count(axes: Axes, groups: Mapping[str, RecallResult]) -> None:
    """Plot recall and MABO of the first n proposals per image.

    The measures differ in colour; dashes distinguish groups, or the measures of a single group.
    """
    for number, result in enumerate(groups.values()):
        counts = [max(1, count) for count, _, _ in result.by_count]
        series = {
            "recall at IoU 0.5": [coverage.recall_50 for _, _, coverage in result.by_count],
            "recall at IoU 0.7": [coverage.recall_70 for _, _, coverage in result.by_count],
            "MABO": [mabo for _, mabo, _ in result.by_count],
        }
        for dashes, colour, (measure, values) in zip(DASHES, MEASURES, series.items(), strict=True):
            line = DASHES[number] if len(groups) > 1 else dashes
            axes.plot(counts, values, line, color=colour, label=None if number else measure)
    counts_on_x(axes, "proposals per image")
    shares_on_y(axes, "recall, overlap")
    axes.legend()


def _draw_classes(axes: Axes, groups: Mapping[str, RecallResult]) -> None:
    names = list(groups[ALL].by_class)[::-1]
    for index, (label, result) in enumerate(groups.items()):
        overlaps = [result.by_class[n].best_overlap if n in result.by_class else 0 for n in names]
        rows = [row + 0.2 - 0.4 * index for row in range(len(names))]
        text = f"{label}, MABO {result.mabo:.3f}"
        axes.barh(rows, overlaps, 0.36, color=PAPER)  # hides the grid behind a pale bar
        axes.barh(rows, overlaps, 0.36, color=MABO, alpha=1 - 0.5 * index, label=text)
    axes.set_yticks(range(len(names)), names)
    axes.grid(axis="y", visible=False)
    axes.set(xlim=(0, 1), ylim=(-0.6, len(names) - 0.4), xlabel="overlap (IoU)")
    axes.xaxis.set_major_formatter("{x:g}")
