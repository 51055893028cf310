"""The report's page: its templates filled in, and its plots written beside it."""

from __future__ import annotations

from pathlib import Path

from frcnn_cli.engine.evaluation.errors import KINDS
from frcnn_cli.engine.evaluation.scores import RULES
from frcnn_cli.engine.report.changes import compare_images
from frcnn_cli.engine.report.findings import GROUPS, MISTAKES
from frcnn_cli.engine.report.gallery import Gallery, make_gallery
from frcnn_cli.engine.report.overlay import DRAWN_BELOW, KIND_NAMES
from frcnn_cli.engine.report.plots import PLOT_FILES, Plots, draw_plots
from frcnn_cli.engine.report.records import Report
from frcnn_cli.engine.report.self_contained import Thumbnails, assemble_page
from frcnn_cli.engine.report.summary import (
    every_setting_row,
    headlines,
    points,
    setting_rows,
    signed_points,
)
from frcnn_proposals.files import write_whole

PAGE = "index.html"
STYLES = (
    *("shared/base.css", "shared/tables.css", "shared/pictures.css"),
    *("summary.css", "gallery.css"),
)
SCRIPTS = (
    *("shared/theme.js", "shared/tables.js", "shared/layers.js"),
    *("gallery.js", "shared/lightbox.js"),
)
GROUP_NAMES = {
    "best": "best detections",
    "mistake": "most confident mistakes",
    "missed": "missed objects",
}


def write_report(report: Report, folder: Path) -> Path:
    """Write the report into `folder`, the page last; returns the page's path.

    Plots that an earlier report left there, and that this one does not have, are removed.
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
    """The whole page as one HTML document that requests nothing else."""
    values = {
        "report": report,
        "plots": plots,
        "gallery": gallery,
        "headlines": headlines(report),
        "settings": setting_rows(report),
        "every_setting": every_setting_row(report),
        "points": points,
        "signed_points": signed_points,
        "lettered": list(zip("AB", report.subjects, strict=False)),
        "kinds": KINDS,
        "kind_names": KIND_NAMES,
        "groups": GROUPS,
        "group_names": GROUP_NAMES,
        "mistakes": MISTAKES,
        "drawn_below": DRAWN_BELOW,
        "rules": RULES,
    }
    return assemble_page(__package__, "report.html.jinja", values, STYLES, SCRIPTS)
