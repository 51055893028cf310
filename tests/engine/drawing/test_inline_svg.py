"""Conversion of Matplotlib's SVG for a page."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from matplotlib.figure import Figure

from frcnn_cli.engine.drawing.figures import FIRST, finished, new_figure, style


@pytest.fixture
def figure() -> Figure:
    with style():
        figure = new_figure(2.0)
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], color=FIRST)
        axes.set_title(r"</svg><script>$\frac{1$ כלב")
    return figure


def test_colours_become_those_of_the_page_and_styles_are_removed(figure: Figure) -> None:
    with style():
        plot = finished(figure, "one", "One", 'a "line"')
    assert 'stroke="var(--first)"' in plot.svg
    assert FIRST not in plot.svg
    assert "style" not in plot.svg
    root = ElementTree.fromstring(str(plot.svg))
    assert root.attrib["aria-label"] == 'a "line"'


def test_text_stays_text_and_is_escaped(figure: Figure) -> None:
    with style():
        svg = str(finished(figure, "one", "One", "").svg)
    texts = [element.text for element in ElementTree.fromstring(svg).iter("text")]
    assert r"</svg><script>$\frac{1$ כלב" in texts
    assert "<script" not in svg


def test_ids_of_two_plots_differ(figure: Figure) -> None:
    def ids(svg: str) -> set[str]:
        return {e.attrib["id"] for e in ElementTree.fromstring(svg).iter() if "id" in e.attrib}

    with style():
        first, second = (str(finished(figure, name, "", "").svg) for name in ("one", "two"))
    assert ids(first)
    assert not ids(first) & ids(second)
    for name in ids(first):
        assert f"#{name}" in first, "an unused id, or a reference to an unknown id"


def test_the_png_file_has_a_png_header(figure: Figure) -> None:
    with style():
        assert finished(figure, "one", "One", "").png.startswith(b"\x89PNG")
