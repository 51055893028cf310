"""Class names outside ASCII: the letters are drawn, or the user is told how to get a font."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib.figure import Figure
from PIL import Image
from reporters import RecordingReporter

from frcnn_cli.engine.drawing.detections import draw_detections
from frcnn_cli.engine.drawing.figures import figure_file, style
from frcnn_cli.engine.drawing.fonts import FONT_VARIABLE, warn_of_missing_letters
from frcnn_cli.engine.proposals.draw import best_boxes, draw_best_boxes
from frcnn_cli.engine.records import Detections, GroundTruth
from frcnn_proposals.base import Image as Pixels
from frcnn_proposals.base import Proposals
from frcnn_proposals.errors import MisuseError

# No font has letters for private use in plane 15, so these two stand for any that are missing.
MISSING = ("\U000f1234", "\U000f1235")
BLANK = np.zeros((200, 300, 3), np.uint8)
BOX = np.array([[20, 80, 200, 150]], np.float32)


def font_with(path: Path, *letters: str) -> Path:
    """A font with a glyph of its own for each letter: bars of different heights."""
    names = [".notdef", *(f"g{number}" for number in range(len(letters)))]
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap({ord(letter): f"g{n}" for n, letter in enumerate(letters)})
    glyphs = {}
    for number, name in enumerate(names):
        pen = TTGlyphPen(None)
        height = 700 * (number + 1) // len(names)
        pen.moveTo((100, 0))
        for corner in ((100, height), (500, height), (500, 0)):
            pen.lineTo(corner)
        pen.closePath()
        glyphs[name] = pen.glyph()
    builder.setupGlyf(glyphs)
    builder.setupHorizontalMetrics(dict.fromkeys(names, (600, 100)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Bars", "styleName": "Regular"})
    builder.setupOS2(sTypoAscender=800, usWinAscent=800, usWinDescent=200)
    builder.setupPost()
    builder.save(path)
    return path


def annotated(name: str) -> Pixels:
    found = Detections(BOX, np.array([0.5], np.float32), np.array([1]))
    return draw_detections(BLANK, found, [name])


def with_proposals(name: str) -> Pixels:
    truth = GroundTruth(BOX, np.array([1]), np.array([False]))
    return draw_best_boxes(BLANK, best_boxes(truth, Proposals(BOX)), [name])


def plotted(name: str) -> Pixels:
    with style():
        figure = Figure(figsize=(2, 1))
        axes = figure.subplots()
        axes.set_yticks([0], [name])
        axes.set_title(name)
        return np.asarray(Image.open(io.BytesIO(figure_file(figure))))


def warnings_on(*names: str) -> list[str]:
    reporter = RecordingReporter()
    warn_of_missing_letters(reporter, names)
    return reporter.warnings


@pytest.fixture(autouse=True)
def no_chosen_font(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(FONT_VARIABLE, raising=False)


@pytest.mark.parametrize("draw", [annotated, with_proposals, plotted])
def test_letters_are_drawn_not_squares(draw: object) -> None:
    """Squares for missing letters are all the same."""
    assert callable(draw)
    for one, other in ("\u0436\u0434", "\u00e9\u00f1", "\u03bb\u03c0"):  # Cyrillic, Latin, Greek
        assert not np.array_equal(draw(one), draw(other))
    assert warnings_on("\u0436\u0434\u00e9\u00f1", "cat", "e\u0301 \u200d") == []


@pytest.mark.parametrize("draw", [annotated, with_proposals, plotted])
def test_a_chosen_font_has_the_letters_that_others_lack(
    draw: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert callable(draw)
    one, other = MISSING
    assert np.array_equal(draw(one), draw(other))
    (warning,) = warnings_on("cat", one, f"a{other}", one)
    assert f"No font was found for 2 letters in names ({one}{other})" in warning
    assert FONT_VARIABLE in warning
    font = font_with(tmp_path / "bars.ttf", *MISSING, *"0.5IoU 1")
    monkeypatch.setenv(FONT_VARIABLE, str(font))
    assert warnings_on(*MISSING) == []
    assert not np.array_equal(draw(one), draw(other))


def test_names_in_ascii_look_the_same_with_and_without_a_chosen_font(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = annotated("cat")
    monkeypatch.setenv(FONT_VARIABLE, str(font_with(tmp_path / "bars.ttf", *"cat0.5 ")))
    assert np.array_equal(annotated("cat"), before)


def test_a_chosen_file_that_is_no_font_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "font.ttf").write_text("no font")
    monkeypatch.setenv(FONT_VARIABLE, str(tmp_path / "font.ttf"))
    with pytest.raises(MisuseError, match=r"FRCNN_FONT: .*font\.ttf' is not a font file"):
        annotated("\u0436")
