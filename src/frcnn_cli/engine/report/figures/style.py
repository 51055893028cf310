"""How the report's plots look: on paper as they are, in the page by the page's own colours."""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast

import matplotlib
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from frcnn_cli.engine.report.figures.svg import inline_svg

INK, MUTED, RULE = "#1d2125", "#5b6570", "#d5dade"
PAPER = "#ffffff"
# The first subject's and the second's: told apart by the colour-blind, and by lightness.
FIRST, SECOND, THIRD = "#0b62a8", "#c2500a", "#5b7f1e"
SERIES = (FIRST, SECOND, THIRD)
# The page's names for these colours, which have a value for light and one for dark.
PAGE_COLOURS = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    RULE: "var(--rule)",
    PAPER: "var(--panel)",
    FIRST: "var(--first)",
    SECOND: "var(--second)",
    THIRD: "var(--third)",
}
_SETTINGS: dict[str, Any] = {
    "svg.fonttype": "none",  # words stay words: the page's own font, found by its search
    "text.parse_math": False,  # a class named $x$ is no formula
    "font.size": 9.5,
    "axes.titlesize": 10,
    "axes.titlelocation": "left",
    "axes.titleweight": "bold",
    "axes.edgecolor": MUTED,
    "axes.labelcolor": MUTED,
    "axes.titlecolor": INK,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "text.color": INK,
    "lines.linewidth": 1.6,
    "legend.frameon": False,
    "legend.fontsize": 9,
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
}
WIDTH = 4.6  # inches, so that a phone shows it at about its size


@dataclass(frozen=True)
class Plot:
    """One plot, drawn. name: of its PNG file, without the suffix; alt: what it shows."""

    name: str
    title: str
    alt: str
    svg: Markup
    png: bytes


@contextmanager
def style() -> Iterator[None]:
    """The style for everything drawn within."""
    with matplotlib.rc_context(cast(Any, _SETTINGS)), warnings.catch_warnings():
        # The PNG's font may lack a letter of a class name; the page's fonts have it.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        yield


def new_figure(height: float, width: float = WIDTH) -> Figure:
    """An empty figure, sizes in inches."""
    return Figure(figsize=(width, height), layout="constrained")


def label_bar(axes: Axes, value: float, place: float, text: str) -> None:
    """Words at the end of a horizontal bar."""
    axes.annotate(
        text,
        (value, place),
        xytext=(3, 0),
        textcoords="offset points",
        va="center",
        fontsize=8,
        color=MUTED,
    )


def finished(figure: Figure, name: str, title: str, alt: str) -> Plot:
    """The figure as SVG for the page and as PNG for papers."""
    return Plot(name, title, alt, page_svg(figure, name, alt), png(figure))


def page_svg(figure: Figure, name: str, alt: str) -> Markup:
    """The figure as SVG for the page, in its colours."""
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return inline_svg(buffer.getvalue(), name, alt, PAGE_COLOURS)


def png(figure: Figure) -> bytes:
    """The figure as a PNG for print."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=200)
    return buffer.getvalue()
