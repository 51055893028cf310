"""The page in windows of every width: wide tables scroll in their frames with every font."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from browser import NARROW, WIDE, Browser

# The widest and the narrowest fonts of Debian's fonts-dejavu and fonts-liberation: each of DejaVu's
# families is the widest for some words. Chromium shows no page on a machine without fonts, so
# a missing font represents a machine with none of the fonts that the page names.
MISSING = "A Font That Is Not Installed"
FONTS = ("DejaVu Sans", "DejaVu Sans Mono", "DejaVu Serif", "Liberation Sans Narrow", MISSING)

# For each table, with its frame scrolled to the end: how far the last column exceeds the
# frame (hidden), and the widest cell of the sticky column (sticky).
TABLES = """
return [...document.querySelectorAll("table")].map((table) => {
  const frame = table.closest(".scroll") ?? table.parentElement;
  frame.scrollLeft = 1e6;
  const ends = [...table.querySelectorAll("th, td")].map((e) => e.getBoundingClientRect().right);
  const rows = [...table.rows].map((row) => row.cells[0]);
  const sticky = rows.filter((cell) => getComputedStyle(cell).position === "sticky");
  return {
    name: frame.ariaLabel ?? table.className,
    inside: frame.clientWidth,
    table: table.offsetWidth,
    hidden: Math.max(...ends) - frame.getBoundingClientRect().right,
    frame_end: frame.getBoundingClientRect().right,
    sticky: Math.max(0, ...sticky.map((cell) => cell.offsetWidth)),
  };
});
"""


@pytest.fixture(params=FONTS)
def font(request: pytest.FixtureRequest, chromium: Browser) -> str:
    """A font that the browser has, or the missing one."""
    family: str = request.param
    chromium.driver.get("about:blank")
    chromium.run("document.body.textContent = 'words'")
    chromium.force_font(family)
    if family not in (MISSING, *chromium.fonts("body")):
        problem = f"the browser cannot find the font {family!r}, which `make test-web` installs"
        if os.environ.get("FRCNN_WEB"):
            pytest.fail(problem)
        pytest.skip(problem)
    return family


@pytest.fixture(params=["single", "double", "long_names"])
def page(request: pytest.FixtureRequest) -> Path:
    path: Path = request.getfixturevalue(request.param)
    return path


@pytest.mark.parametrize("size", [NARROW, (768, 1024), WIDE, (1920, 1080)])
def test_nothing_overflows_the_page(
    chromium: Browser, page: Path, size: tuple[int, int], font: str
) -> None:
    chromium.open(page, size)
    chromium.force_font(font)
    chromium.run("document.querySelectorAll('details').forEach(details => details.open = true)")
    assert chromium.fonts("#errors tbody th") == {font} or font == MISSING
    assert chromium.run("return document.documentElement.scrollWidth") <= size[0]
    tables = chromium.run(TABLES)
    assert len(tables) >= 7
    for table in tables:
        assert table["frame_end"] <= size[0], table
        assert table["hidden"] <= 1, table
        # The sticky names leave room for the columns that scroll.
        assert table["table"] <= table["inside"] or table["sticky"] <= 0.6 * table["inside"], table
    # Cards clip content that is too wide.
    cut_off = chromium.run(
        "return [...document.querySelectorAll('figcaption')]"
        ".filter(e => e.scrollWidth > e.clientWidth).map(e => e.textContent)"
    )
    assert cut_off == []


def test_the_kinds_of_error_fit_into_the_narrowest_window(
    chromium: Browser, double: Path, font: str
) -> None:
    """Headings and names of kinds wrap, so that both models are visible without scrolling."""
    chromium.open(double, NARROW)
    chromium.force_font(font)
    table = next(t for t in chromium.run(TABLES) if t["name"].endswith("errors by kind"))
    assert table["table"] <= table["inside"]


def test_long_names_fit_into_the_enlarged_image(
    chromium: Browser, long_names: Path, font: str
) -> None:
    chromium.open(long_names, NARROW)
    chromium.force_font(font)
    chromium.click(chromium.all("#cards .open")[0])
    assert chromium.one("#lightbox-caption").text
    width = "return document.getElementById('lightbox').%s"
    assert chromium.run(width % "scrollWidth") == chromium.run(width % "clientWidth") == NARROW[0]
