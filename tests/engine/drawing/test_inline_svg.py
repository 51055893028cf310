"""Matplotlib's SVG inside a page."""

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


def test_colours_are_the_pages_and_there_are_no_styles(figure: Figure) -> None:
    with style():
        plot = finished(figure, "one", "One", 'a "line"')
    assert 'stroke="var(--first)"' in plot.svg
    assert FIRST not in plot.svg
    assert "style" not in plot.svg
    root = ElementTree.fromstring(str(plot.svg))
    assert root.attrib["aria-label"] == 'a "line"'


def test_words_stay_words_and_are_escaped(figure: Figure) -> None:
    with style():
        svg = str(finished(figure, "one", "One", "").svg)
    texts = [element.text for element in ElementTree.fromstring(svg).iter("text")]
    assert r"</svg><script>$\frac{1$ כלב" in texts
    assert "<script" not in svg


def test_two_plots_share_no_id(figure: Figure) -> None:
    def ids(svg: str) -> set[str]:
        return {e.attrib["id"] for e in ElementTree.fromstring(svg).iter() if "id" in e.attrib}

    with style():
        one, two = (str(finished(figure, name, "", "").svg) for name in ("one", "two"))
    assert ids(one)
    assert not ids(one) & ids(two)
    for name in ids(one):
        assert f"#{name}" in one, "an id that nothing refers to, or a reference to another"


def test_the_png_is_one(figure: Figure) -> None:
    with style():
        assert finished(figure, "one", "One", "").png.startswith(b"\x89PNG")
