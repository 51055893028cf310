"""The report's plots."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from frcnn_cli.engine.drawing.figures import Plot, style
from frcnn_cli.engine.report.figures.charts import (
    errors_plot,
    recall_against_count,
    recall_against_iou,
    stages_plot,
)
from frcnn_cli.engine.report.figures.precision import (
    average_precision_plot,
    curve_panels,
    curves_png,
)
from frcnn_cli.engine.report.figures.training import average_plot, loss_plot
from frcnn_cli.engine.report.records import Report

__all__ = ["PLOT_FILES", "Plot", "Plots", "draw_plots"]

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
