"""Style of the plots: fixed colours in files, the page's colours in SVG inside a page.

Matplotlib's SVG is changed for use inside a page: it uses the page's colours and font. Styles
become attributes, because a strict content security policy forbids inline styles.
"""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Any, cast
from xml.etree import ElementTree

import matplotlib
from markupsafe import Markup
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text

from frcnn_cli.engine.drawing.fonts import font_file

INK, MUTED, RULE = "#1d2125", "#5b6570", "#d5dade"
PAPER = "#ffffff"
# A colour has one meaning everywhere. Blue and orange are the first and the second detector;
# MEASURES are different measures of one thing. All are distinct for colour-blind readers and in
# grey; good and bad, which are on the page only, are in base.css.
FIRST, SECOND = "#0b62a8", "#c2500a"
SERIES = (FIRST, SECOND)
MEASURES = ("#6a3d9a", "#00757a", "#74700a")
DASHES = ("-", "--", ":")
# The page's variables for these colours, which depend on the light or dark theme.
PAGE_COLOURS = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    RULE: "var(--rule)",
    PAPER: "var(--panel)",
    FIRST: "var(--first)",
    SECOND: "var(--second)",
    **{colour: f"var(--measure-{number})" for number, colour in enumerate(MEASURES, start=1)},
}
SMALL = 9  # text size of legends and of numbers beside bars, in points
_SETTINGS: dict[str, Any] = {
    "pdf.fonttype": 42,  # TrueType; publishers reject the default, Type 3
    "font.size": 9.5,
    "axes.titlesize": 9.5,
    "axes.labelsize": 9.5,
    "figure.titlesize": 9.5,
    "figure.titleweight": "bold",
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
    "axes.formatter.useoffset": False,  # ticks are the values themselves
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "text.color": INK,
    "lines.linewidth": 1.6,
    "lines.markersize": 4,
    "legend.frameon": False,
    "legend.fontsize": SMALL,
    "figure.facecolor": PAPER,
    "axes.facecolor": PAPER,
}
_SURROGATE = re.compile("[\ud800-\udfff]")  # from file names that are not UTF-8
_NOT_IN_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]")
WIDTH = 4.6  # inches; about the width of a phone
DPI = 200  # of PNG files; for print


@dataclass(frozen=True)
class Plot:
    """One plot. name: of its PNG file, without the suffix. alt: a description of the plot."""

    name: str
    title: str
    alt: str
    svg: Markup
    png: bytes


@contextmanager
def style() -> Iterator[None]:
    """Apply the style to all plots in the block."""
    with matplotlib.rc_context(cast(Any, _SETTINGS)):
        yield


def counts_on_x(axes: Axes, label: str, ticks: Sequence[int] | None = None) -> None:
    """Make x a logarithmic axis of whole numbers, written in digits.

    ticks: by default the powers of ten.
    """
    axes.set(xscale="log", xlabel=label)
    if ticks is not None:
        axes.set_xticks(ticks)
    axes.minorticks_off()
    axes.xaxis.set_major_formatter(lambda count, _: f"{count:,.0f}")


def shares_on_y(axes: Axes, label: str) -> None:
    """Make y an axis of shares from 0 to 1, with room for the markers at both ends."""
    axes.set(ylabel=label, ylim=(-0.02, 1.03))
    axes.set_yticks((0, 0.25, 0.5, 0.75, 1), ("0", "0.25", "0.5", "0.75", "1"))


def new_figure(height: float, width: float = WIDTH) -> Figure:
    """Create an empty figure; sizes are in inches."""
    return Figure(figsize=(width, height), layout="constrained")


def finished(figure: Figure, name: str, title: str, alt: str) -> Plot:
    """Return the figure as SVG for the page and as PNG for print."""
    return Plot(name, title, alt, page_svg(figure, name, alt), figure_file(figure))


def page_svg(figure: Figure, name: str, alt: str) -> Markup:
    """Return the figure as SVG for the page, in the page's colours."""
    buffer = io.StringIO()
    # Text stays text: it uses the page's font and is searchable.
    with matplotlib.rc_context({"svg.hashsalt": name, "svg.fonttype": "none"}):
        _save(figure, buffer, format="svg", transparent=True, metadata={"Date": None})
    return inline_svg(buffer.getvalue(), name, alt, PAGE_COLOURS)


def figure_file(figure: Figure, file_format: str = "png") -> bytes:
    """Return the figure as a file, png for print, or pdf or svg, the same at every call."""
    buffer = io.BytesIO()
    undated = {"png": {}, "pdf": {"CreationDate": None}, "svg": {"Date": None}}[file_format]
    with matplotlib.rc_context({"svg.hashsalt": "frcnn"}):
        _save(figure, buffer, format=file_format, dpi=DPI, metadata=undated)
    return buffer.getvalue()


def _save(figure: Figure, file: IO[Any], **options: Any) -> None:
    """Save the figure with all text as it is: names of classes and models are from outside."""
    with matplotlib.rc_context({"text.parse_math": False}), warnings.catch_warnings():
        # The PNG may lack letters of a class name, of which warn_of_missing_letters tells.
        warnings.filterwarnings("ignore", message="Glyph .* missing")
        for text in figure.findobj(Text):
            text.set_parse_math(False)
            text.set_text(_SURROGATE.sub("?", text.get_text()))
            if (font := font_file(text.get_text())) is not None:
                properties = text.get_fontproperties().copy()
                properties.set_file(str(font))
                text.set_fontproperties(properties)
        figure.savefig(file, **options)


_LINK = "{http://www.w3.org/1999/xlink}href"
_REMOVED = ("metadata", "style")
_REFERENCE = re.compile(r"url\(#([^)]*)\)")


def inline_svg(text: str, name: str, alt: str, colours: Mapping[str, str]) -> Markup:
    """Convert an SVG document to an element of a page.

    name: prefix of every id, so that ids of two plots differ. alt: label for screen readers.
    colours: replacements for colours such as '#1d2125'.
    """
    root = ElementTree.fromstring(_NOT_IN_XML.sub("?", text))
    for element in root.iter():
        for child in [child for child in element if _tag(child) in _REMOVED]:
            element.remove(child)
    for element in root.iter():
        element.tag = _tag(element)
        _style_to_attributes(element)
        _rewrite(element, name, colours)
    for size in ("width", "height", "version"):
        root.attrib.pop(size, None)
    root.attrib |= {"role": "img", "aria-label": _NOT_IN_XML.sub("?", alt), "class": "plot"}
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
