"""The report's page: rendering of its templates, and its plots as separate files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from frcnn_cli.engine.drawing.figures import Plot, style
from frcnn_cli.engine.evaluation.corloc import RULE as CORLOC_RULE
from frcnn_cli.engine.evaluation.errors import KINDS
from frcnn_cli.engine.evaluation.scores import RULES
from frcnn_cli.engine.pages.report.changes import compare_averages, compare_images
from frcnn_cli.engine.pages.report.confusion import confusions
from frcnn_cli.engine.pages.report.findings import GROUPS, MISTAKES
from frcnn_cli.engine.pages.report.gallery import Gallery, make_gallery
from frcnn_cli.engine.pages.report.overlay import DRAWN_BELOW, KIND_NAMES
from frcnn_cli.engine.pages.report.plots import (
    average_precision_plot,
    curve_panels,
    curves_png,
    errors_plot,
    recall_against_count,
    recall_against_iou,
    stages_plot,
)
from frcnn_cli.engine.pages.report.records import Report
from frcnn_cli.engine.pages.report.summary import (
    headlines,
    interval,
    percent,
    points,
    setting_rows,
    signed_points,
)
from frcnn_cli.engine.pages.self_contained import Thumbnails, assemble_page
from frcnn_cli.engine.training.figures import average_plot, loss_plot
from frcnn_proposals.files import write_whole

PAGE = "index.html"
# Every file that a report may write next to its page.
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
STYLES = (
    *("shared/base.css", "shared/tables.css", "shared/images.css"),
    *("summary.css", "gallery.css"),
)
SCRIPTS = (
    *("shared/theme.js", "shared/tables.js", "shared/layers.js"),
    *("gallery.js", "shared/labels.js", "shared/lightbox.js"),
)
GROUP_NAMES = {
    "best": "best detections",
    "mistake": "most confident mistakes",
    "missed": "missed objects",
}


@dataclass(frozen=True)
class Plots:
    """The plots by section of the page. panels: (class, SVG) of the precision-recall curves."""

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


def write_report(report: Report, folder: Path) -> Path:
    """Write the report to `folder`, the page last, and return the page's path.

    Plots of an earlier report that this one does not have are removed.
    """
    plots = draw_plots(report)
    changes = compare_images(report) if report.compares else ()
    page = render_page(report, plots, make_gallery(report, changes, Thumbnails()))
    folder.mkdir(parents=True, exist_ok=True)
    for name in set(PLOT_FILES) - set(plots.files()):
        (folder / name).unlink(missing_ok=True)
    for name, content in plots.files().items():
        write_whole(folder / name, content)
    write_whole(folder / PAGE, page.encode(errors="replace"))
    return folder / PAGE


def render_page(report: Report, plots: Plots, gallery: Gallery) -> str:
    """The page as one self-contained HTML document."""
    margins = compare_averages(report)
    values = {
        "report": report,
        "plots": plots,
        "gallery": gallery,
        "headlines": headlines(report, margins),
        "margins": margins,
        "confusion": [
            confusions(report.dataset.classes, subject.at_threshold) for subject in report.subjects
        ],
        "settings": setting_rows([subject.setting for subject in report.subjects]),
        "every_setting": setting_rows([subject.all_settings for subject in report.subjects]),
        "points": points,
        "percent": percent,
        "interval": interval,
        "signed_points": signed_points,
        "lettered": list(zip("AB", report.subjects, strict=False)),
        "kinds": KINDS,
        "kind_names": KIND_NAMES,
        "groups": GROUPS,
        "group_names": GROUP_NAMES,
        "mistakes": MISTAKES,
        "drawn_below": DRAWN_BELOW,
        "rules": f"{RULES} {CORLOC_RULE}" if report.shows_corloc else RULES,
    }
    return assemble_page(__package__, "report.html.jinja", values, STYLES, SCRIPTS)


def draw_plots(report: Report) -> Plots:
    """Draw all plots for which there is data."""
    with style():
        logs = [(subject.name, subject.log) for subject in report.subjects]
        training = (loss_plot(logs), average_plot(logs))
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
