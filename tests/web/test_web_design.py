"""What a designer would check: labels, text sizes, colours, hints and rules."""

from __future__ import annotations

import io
from pathlib import Path

import PIL.Image
import pytest
from browser import NARROW, WIDE, Browser
from made_up_report import made_up_dataset, made_up_report

from frcnn_cli.engine.pages.report.page import write_report

# Common area of every two labels of an image, in pixels of the screen.
OVERLAPS = """
return [...document.querySelectorAll("#lightbox-stage svg")].flatMap((svg) => {
  const boxes = [...svg.querySelectorAll("text")].map((text) => text.getBoundingClientRect());
  return boxes.flatMap((a, i) => boxes.slice(i + 1).map((b) =>
    Math.max(0, Math.min(a.right, b.right) - Math.max(a.left, b.left)) *
    Math.max(0, Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top))));
});
"""
OUTSIDE = """
return [...document.querySelectorAll("#lightbox-stage text")].filter((text) => {
  const svg = text.closest("svg"), scale = svg.clientWidth / svg.viewBox.baseVal.width;
  const box = text.getBBox(), image = svg.viewBox.baseVal;
  return box.x < -1 || box.y < -3 || box.x + box.width > image.width + 1 ||
    box.y + box.height > image.height + 3 || scale === 0;
}).length;
"""


@pytest.fixture(scope="module")
def pets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A report on two detectors of classes with short names."""
    folder = tmp_path_factory.mktemp("web")
    dataset = made_up_dataset(folder, classes=("cat", "dog", "cow"))
    return write_report(made_up_report(dataset, 2), folder / "out")


@pytest.mark.parametrize("opener", ["#cards .open", "#pairs .open"])
def test_labels_of_an_enlarged_image_are_apart_and_inside(
    chromium: Browser, pets: Path, opener: str
) -> None:
    chromium.open(pets)
    chromium.click(chromium.all(opener)[0])
    compared = 0
    for _ in range(8):
        areas = chromium.run(OVERLAPS)
        compared += len(areas)
        assert max(areas, default=0) <= 1
        assert chromium.run(OUTSIDE) == 0
        chromium.click(chromium.one('[data-step="1"]'))
    assert compared > 20


def test_words_of_the_enlarged_caption_are_apart(chromium: Browser, pets: Path) -> None:
    chromium.open(pets)
    chromium.click(chromium.all("#pairs .open")[0])
    gaps = chromium.run(
        "const parts = [...document.getElementById('lightbox-caption').children]"
        ".map((part) => part.getBoundingClientRect());"
        "return parts.slice(1).map((part, i) => part.left - parts[i].right);"
    )
    assert gaps
    assert min(gaps) >= 4


def test_the_button_that_closes_is_beside_the_caption(chromium: Browser, pets: Path) -> None:
    """In a narrow window, too, it does not take a row of its own."""
    chromium.open(pets, NARROW)
    chromium.run("document.querySelector('#pairs .open').click()")
    close, step, caption = chromium.run(
        "return ['[data-close]', '[data-step]', '#lightbox-caption'].map((name) =>"
        "document.querySelector('#lightbox ' + name).getBoundingClientRect().toJSON())"
    )
    assert close["bottom"] <= step["top"]
    assert close["top"] <= caption["bottom"]


@pytest.mark.parametrize("page", ["single", "double"])
def test_texts_of_all_plots_have_about_one_size(
    chromium: Browser, page: str, request: pytest.FixtureRequest
) -> None:
    chromium.open(request.getfixturevalue(page))
    sizes = chromium.run(
        "return [...document.querySelectorAll('svg.plot text')].map((text) => {"
        "const svg = text.closest('svg');"
        "const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;"
        "return scale * parseFloat(getComputedStyle(text).fontSize); })"
    )
    assert len(sizes) > 50
    assert min(sizes) >= 10
    assert max(sizes) <= 1.25 * min(sizes)


def test_colours_of_the_models_mean_nothing_else(chromium: Browser, pets: Path) -> None:
    chromium.open(pets)
    colours = chromium.run(
        "const of = (selector, property) => [...document.querySelectorAll(selector)]"
        ".map((element) => getComputedStyle(element)[property]);"
        "return [of('.who b', 'color'),"
        "[...of('.gained, .lost, .kind, .change.up, .change.down', 'color'),"
        "...of('.pic rect, .key rect', 'stroke')]];"
    )
    models, meanings = map(set, colours)
    assert len(models) == 2
    assert len(meanings) >= 5
    assert not models & meanings


def test_a_menu_that_goes_on_fades_at_its_end(chromium: Browser, pets: Path) -> None:
    chromium.open(pets, NARROW)
    assert chromium.run(
        "const n = document.querySelector('nav'); return n.scrollWidth > n.clientWidth"
    )
    assert "gradient" in chromium.run(
        "return getComputedStyle(document.querySelector('nav')).maskImage"
    )
    # At the end of the menu, its last link is before the fade.
    left = chromium.run(
        "const nav = document.querySelector('nav'); nav.scrollLeft = 1e6;"
        "const right = (element) => element.getBoundingClientRect().right;"
        "return right(nav) - right(nav.lastElementChild);"
    )
    assert left >= 32


def test_the_first_column_keeps_its_rules_when_a_table_scrolls(
    chromium: Browser, pets: Path
) -> None:
    chromium.open(pets, NARROW)
    rows = chromium.run(
        "const table = document.getElementById('threshold-table');"
        "table.scrollIntoView({block: 'center'}); table.parentElement.scrollLeft = 60;"
        "return [...table.querySelectorAll('tbody th')].map((cell) => {"
        "const box = cell.getBoundingClientRect(); return [box.left + 10, box.bottom]; })"
    )
    screen = PIL.Image.open(io.BytesIO(chromium.driver.get_screenshot_as_png())).convert("L")
    for x, bottom in rows:
        column = [
            screen.getpixel((round(x), y)) for y in range(round(bottom) - 3, round(bottom) + 1)
        ]
        assert max(column) - min(column) > 15


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_shadow_shows_that_a_table_scrolls(chromium: Browser, pets: Path, scheme: str) -> None:
    chromium.open(pets, NARROW, scheme)
    shades = []
    for position in (0, 1e6):
        x, y = chromium.run(
            "const frame = document.getElementById('threshold-table').parentElement;"
            "frame.scrollIntoView({block: 'center'}); frame.scrollLeft = arguments[0];"
            "const box = frame.getBoundingClientRect(); return [box.right - 1, box.top + 3];",
            position,
        )
        screen = PIL.Image.open(io.BytesIO(chromium.driver.get_screenshot_as_png())).convert("L")
        shades.append(screen.getpixel((int(x), int(y))))
    assert abs(shades[0] - shades[1]) > 30


def test_the_headline_numbers_fill_one_row(chromium: Browser, pets: Path) -> None:
    chromium.open(pets, (1000, 900))
    tops = chromium.run(
        "return [...document.querySelectorAll('.headline > div')].map((e) => e.offsetTop)"
    )
    assert len(tops) == 7
    assert len(set(tops)) == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_numbers_in_shaded_cells_are_readable(chromium: Browser, pets: Path, scheme: str) -> None:
    """The strongest shade of the confusion matrix: the colours differ by WCAG's 4.5 to 1."""
    from test_web_page import luminance

    chromium.open(pets, WIDE, scheme)
    for shade in ("right-5", "wrong-5"):
        ink, paper = chromium.run(
            "const cell = document.querySelector('.confusion td'); cell.className = arguments[0];"
            "const often = {willReadFrequently: true};"  # else the console shows a warning
            "const canvas = document.createElement('canvas').getContext('2d', often);"
            "const paint = (colour) => { canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1); };"
            "const pixel = () => canvas.getImageData(0, 0, 1, 1).data.slice(0, 3);"
            "const read = () => `rgb(${pixel().join(', ')})`;"
            "paint(getComputedStyle(cell).color); const ink = read();"
            "paint(getComputedStyle(document.body).backgroundColor);"
            "paint(getComputedStyle(cell).backgroundColor); return [ink, read()];",
            shade,
        )
        light, dark = sorted((luminance(ink), luminance(paper)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5
