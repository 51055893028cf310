"""Names from outside are text in every figure, never formulas, whatever characters they contain."""

from __future__ import annotations

import io
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from frcnn_cli.engine.drawing.figures import counts_on_x, figure_file, page_svg, style

NAMES = [r"$\undefined{$", "$x$", "$", "a\x1bb\x00c", "two\nlines", "東京"]


def figure_with(name: str) -> Figure:
    """A figure that has the name everywhere that text can be; made without the style."""
    figure = Figure(figsize=(3, 2))
    axes = figure.subplots()
    axes.plot([1, 2], [0, 1], label=name)
    axes.set(title=name, xlabel=name, ylabel=name)
    axes.set_yticks([0, 1], [name, name])
    axes.annotate(name, (1, 0))
    axes.legend()
    figure.legend()
    figure.suptitle(name)
    return figure


@pytest.mark.parametrize("name", NAMES)
def test_a_figure_made_without_the_style(name: str) -> None:
    with Image.open(io.BytesIO(figure_file(figure_with(name)))) as image:
        assert np.asarray(image).std() > 0
    ElementTree.fromstring(page_svg(figure_with(name), "x", name))


@pytest.mark.parametrize("name", NAMES)
def test_a_figure_made_with_the_style(name: str) -> None:
    with style():
        figure_file(figure_with(name))
        ElementTree.fromstring(page_svg(figure_with(name), "x", name))


def test_a_model_whose_file_name_is_not_utf8() -> None:
    figure = Figure(figsize=(3, 2))
    axes = figure.subplots()
    axes.plot([1, 2], [0, 1], label="model-\udcff")
    axes.legend()
    with style():
        figure_file(figure)
        assert "model-?" in page_svg(figure, "x", "")


def test_dollars_stay_in_the_text() -> None:
    with style():
        text = "".join(ElementTree.fromstring(page_svg(figure_with("$x$"), "x", "")).itertext())
    assert text.count("$x$") == 9


def test_numbers_of_a_logarithmic_axis_are_digits() -> None:
    """Matplotlib's own are formulas, which would be shown as their source."""
    figure = Figure()
    axes = figure.subplots()
    axes.plot([1, 10, 2000], [0, 1, 2])
    counts_on_x(axes, "proposals per image")
    with style():
        text = "".join(ElementTree.fromstring(page_svg(figure, "x", "")).itertext())
    assert "1,000" in text
    assert "$" not in text
