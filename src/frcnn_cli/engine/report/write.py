"""A report on disk: index.html, and its plots beside it."""

from __future__ import annotations

from pathlib import Path

from frcnn_cli.engine.report.figures import PLOT_FILES, draw_plots
from frcnn_cli.engine.report.gallery import make_gallery
from frcnn_cli.engine.report.page import render_page
from frcnn_cli.engine.report.records import Report
from frcnn_cli.engine.report.thumbnails import Thumbnails
from frcnn_proposals.files import write_whole

PAGE = "index.html"


def write_report(report: Report, folder: Path) -> Path:
    """Write the report into `folder`, the page last; returns the page's path.

    Plots that an earlier report left there, and that this one does not have, are removed.
    """
    plots = draw_plots(report)
    page = render_page(report, plots, make_gallery(report, Thumbnails()))
    folder.mkdir(parents=True, exist_ok=True)
    for name in set(PLOT_FILES) - set(plots.files()):
        (folder / name).unlink(missing_ok=True)
    for name, content in plots.files().items():
        write_whole(folder / name, content)
    write_whole(folder / PAGE, page.encode(errors="replace"))
    return folder / PAGE
