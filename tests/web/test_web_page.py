"""The page as a whole: no errors, self-contained, readable in every size and theme."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest
from browser import NARROW, WIDE, Browser
from made_up_report import CLASSES, IDS, made_up_dataset, made_up_report

from frcnn_cli.engine.pages.report.page import write_report


@pytest.fixture(params=["single", "double"])
def page(request: pytest.FixtureRequest) -> Path:
    path: Path = request.getfixturevalue(request.param)
    return path


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("size", [WIDE, NARROW])
def test_it_logs_no_errors_and_requests_nothing(
    chromium: Browser, page: Path, size: tuple[int, int], scheme: str
) -> None:
    chromium.errors()
    chromium.requests()
    chromium.open(page, size, scheme)
    for section in chromium.all("section"):
        chromium.run("arguments[0].scrollIntoView()", section)
    assert chromium.errors() == []
    requested = [url for url in chromium.requests() if not url.startswith("data:")]
    assert requested == [page.as_uri()]


def test_scripts_in_names_do_not_run_and_are_shown_as_text(chromium: Browser, page: Path) -> None:
    chromium.open(page)
    assert chromium.driver.title != "taken"
    assert chromium.column("#class-table", 0) == list(CLASSES)
    shown = chromium.run(
        "return [...document.querySelectorAll('#cards .id')].map(e => e.textContent)"
    )
    assert set(IDS) & set(shown)
    assert chromium.run("return document.scripts.length") == 1


def test_the_policy_blocks_added_scripts(chromium: Browser, single: Path) -> None:
    chromium.open(single)
    chromium.run(
        "const s = document.createElement('script'); s.textContent = 'document.title = \"taken\"';"
        "document.body.append(s);"
    )
    assert chromium.driver.title != "taken"
    assert any("Content Security Policy" in message for message in chromium.errors())


def test_right_to_left_names_do_not_affect_other_text(chromium: Browser, single: Path) -> None:
    """Every name from a dataset is isolated in a bdi element."""
    chromium.open(single)
    isolated = "return [...document.querySelectorAll('%s')].every(e => e.querySelector('bdi'))"
    assert chromium.run(isolated % "tbody th[scope=row]:not(.pairs *):not(.totals *)")
    assert chromium.run(isolated % "#cards figcaption")


def luminance(colour: str) -> float:
    """WCAG's relative luminance of `rgb(r, g, b)`."""
    values = [int(part) / 255 for part in colour.split("(")[1].rstrip(")").split(",")[:3]]
    linear = [v / 12.92 if v <= 0.03928 else ((v + 0.055) / 1.055) ** 2.4 for v in values]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_enough_contrast(chromium: Browser, double: Path, scheme: str) -> None:
    """WCAG AA: 4.5 to 1."""
    chromium.open(double, scheme=scheme)
    colours = chromium.run(
        "const e = document.createElement('i'); document.body.append(e);"
        "return ['--paper', '--panel', '--ink', '--muted', '--first', '--second', '--good', "
        "'--bad', '--measure-1', '--measure-2', '--measure-3'].map("
        "name => { e.style.color = `var(${name})`; return getComputedStyle(e).color; });"
    )
    papers, inks = [list(map(luminance, part)) for part in (colours[:2], colours[2:])]
    assert (papers[0] > 0.5) == (scheme == "light")
    for paper in papers:
        for ink in inks:
            assert (max(ink, paper) + 0.05) / (min(ink, paper) + 0.05) >= 4.5


def test_the_theme_button_overrides_the_system_and_is_stored(
    chromium: Browser, single: Path
) -> None:
    paper = "return getComputedStyle(document.body).backgroundColor"
    chromium.open(single, scheme="light")
    light = chromium.run(paper)
    for _ in range(2):
        chromium.click(chromium.one("#theme"))
    assert chromium.one("#theme").text == "Theme: dark"
    dark = chromium.run(paper)
    assert luminance(dark) < 0.05 < luminance(light)
    chromium.open(single, scheme="light")
    assert chromium.run(paper) == dark
    chromium.click(chromium.one("#theme"))
    assert chromium.run(paper) == light


def test_plots_follow_the_theme(chromium: Browser, single: Path) -> None:
    ink = (
        "return getComputedStyle(document.querySelector('#errors .plot text')).fill + "
        "getComputedStyle(document.querySelector('#errors .plot path[fill^=var]')).fill"
    )
    chromium.open(single, scheme="light")
    light = chromium.run(ink)
    chromium.open(single, scheme="dark")
    assert chromium.run(ink) != light


def test_the_first_tab_skips_the_menu(chromium: Browser, single: Path) -> None:
    chromium.open(single)
    chromium.press("\ue004")  # tab
    assert chromium.driver.switch_to.active_element.text == "Skip to the report"


def test_five_thousand_images(chromium: Browser, tmp_path: Path) -> None:
    """Images of noise, which compress badly: below 30 MB, and usable within 3 seconds."""
    dataset = made_up_dataset(tmp_path, images=5000, classes=("cat", "dog", "horse", "<i>cow</i>"))
    pixels = np.random.default_rng(0).integers(0, 256, (375, 500, 3), np.uint8)
    PIL.Image.fromarray(pixels).save(tmp_path / "noise.jpg")
    page = write_report(made_up_report(dataset, 2), tmp_path / "out")
    assert page.stat().st_size < 30_000_000
    chromium.open(page)
    timing = chromium.run("return performance.getEntriesByType('navigation')[0].toJSON()")
    assert timing["loadEventEnd"] < 3000
    start = chromium.run("return performance.now()")
    chromium.click(chromium.one("#class-table .sort"))
    assert chromium.run("return performance.now()") - start < 1000
    assert "exceed the page's size limit" in chromium.one("#gallery .left-out").text
