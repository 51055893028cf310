"""Style of the report's plots: their own colours on paper, the page's colours in the page.

Matplotlib's SVG is changed to fit a page: it uses the page's colours and font, no other styles.

Styles become attributes, since a strict content security policy forbids the former.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, cast
from xml.etree import ElementTree

import matplotlib
from markupsafe import Markup
from matplotlib.figure import Figure

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


def finished(figure: Figure, name: str, title: str, alt: str) -> Plot:
    """The figure as SVG for the page and as PNG for papers."""
    return Plot(name, title, alt, page_svg(figure, name, alt), png(figure))


def page_svg(figure: Figure, name: str, alt: str) -> Markup:
    """The figure as SVG for the page, in its colours."""
    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None})
    return inline_svg(buffer.getvalue(), name, alt, PAGE_COLOURS)


def png(figure: Figure, dpi: int = 200) -> bytes:
    """The figure as a PNG, by default for print."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=dpi)
    return buffer.getvalue()


_LINK = "{http://www.w3.org/1999/xlink}href"
_DROPPED = ("metadata", "style")
_REFERENCE = re.compile(r"url\(#([^)]*)\)")


def inline_svg(text: str, name: str, alt: str, colours: Mapping[str, str]) -> Markup:
    """An SVG document as an element for a page.

    name: put before every id, so that those of two plots differ. alt: its label for those who
    do not see it. colours: what to write in place of a colour such as '#1d2125'.
    """
    root = ElementTree.fromstring(text)
    for element in root.iter():
        for child in [each for each in element if _tag(each) in _DROPPED]:
            element.remove(child)
    for element in root.iter():
        element.tag = _tag(element)
        _style_to_attributes(element)
        _rewrite(element, name, colours)
    for size in ("width", "height", "version"):
        root.attrib.pop(size, None)
    root.attrib |= {"role": "img", "aria-label": alt, "class": "plot"}
    return Markup(ElementTree.tostring(root, encoding="unicode"))


def _tag(element: ElementTree.Element) -> str:
    return str(element.tag).rpartition("}")[2]


def _style_to_attributes(element: ElementTree.Element) -> None:
    for declaration in element.attrib.pop("style", "").split(";"):
        key, _, value = declaration.partition(":")
        key, value = key.strip(), value.strip()
        if key == "font":
            size = re.search(r"([\d.]+)px", value)
            element.attrib["font-size"] = size.group(1) if size else "10"
            if "bold" in value or re.search(r"\b700\b", value):
                element.attrib["font-weight"] = "bold"
        elif key and not key.startswith("font-family"):
            element.attrib[key] = value


def _rewrite(element: ElementTree.Element, name: str, colours: Mapping[str, str]) -> None:
    if _tag(element) == "g":
        element.attrib.pop("id", None)
    for key, value in list(element.attrib.items()):
        if key == "id":
            element.attrib[key] = f"{name}-{value}"
        elif key == _LINK:
            del element.attrib[key]
            element.attrib["href"] = f"#{name}-{value.removeprefix('#')}"
        elif key in ("fill", "stroke"):
            element.attrib[key] = colours.get(value, value)
        elif "url(" in value:
            element.attrib[key] = _REFERENCE.sub(rf"url(#{name}-\1)", value)
