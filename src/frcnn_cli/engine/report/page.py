"""The page: the template, its style and its script, put into one file."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import jinja2
from markupsafe import Markup

from frcnn_cli.engine.evaluation.errors import KINDS
from frcnn_cli.engine.evaluation.scores import RULES
from frcnn_cli.engine.report.figures import PLOT_FILES, Plots, draw_plots
from frcnn_cli.engine.report.figures.precision import MOST_CLASSES
from frcnn_cli.engine.report.findings import GROUPS, MISTAKES
from frcnn_cli.engine.report.gallery import Gallery, make_gallery
from frcnn_cli.engine.report.headline import (
    every_setting_row,
    headlines,
    points,
    setting_rows,
    signed_points,
)
from frcnn_cli.engine.report.overlay import DRAWN_BELOW, KIND_NAMES
from frcnn_cli.engine.report.records import Report
from frcnn_cli.engine.report.thumbnails import Thumbnails
from frcnn_proposals.files import write_whole

STYLES = ("base.css", "tables.css", "gallery.css")
SCRIPTS = ("theme.js", "tables.js", "layers.js", "gallery.js", "lightbox.js")
GROUP_NAMES = {
    "best": "best detections",
    "mistake": "most confident mistakes",
    "missed": "missed objects",
}


def render_page(report: Report, plots: Plots, gallery: Gallery) -> str:
    """The whole page as one HTML document that asks for nothing else.

    Its own policy forbids everything but the style and the script inside it and pictures that
    are part of it. All words are escaped.
    """
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("frcnn_cli.engine.report", "page"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"points": points, "count": lambda number: f"{number:,}"}
    css, script = _joined(STYLES), _joined(SCRIPTS)
    return environment.get_template("report.html.jinja").render(
        report=report,
        plots=plots,
        gallery=gallery,
        headlines=headlines(report),
        settings=setting_rows(report),
        signed_points=signed_points,
        lettered=list(zip("AB", report.subjects, strict=False)),
        kinds=KINDS,
        kind_names=KIND_NAMES,
        groups=GROUPS,
        mistakes=MISTAKES,
        group_names=GROUP_NAMES,
        most_classes=MOST_CLASSES,
        drawn_below=DRAWN_BELOW,
        every_setting=every_setting_row(report),
        rules=RULES,
        css=Markup(css),
        script=Markup(script),
        policy=_policy(css, script),
    )


def _joined(names: Sequence[str]) -> str:
    folder = files("frcnn_cli.engine.report") / "page"
    return "\n" + "\n".join((folder / name).read_text(encoding="utf-8") for name in names)


def _policy(css: str, script: str) -> str:
    return (
        f"default-src 'none'; img-src data:; style-src '{_digest(css)}'; "
        f"script-src '{_digest(script)}'; base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


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
