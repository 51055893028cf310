"""The page as a whole: no errors, self-contained, readable in every size, theme and way."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import Browser
from explained_page import open_page
from made_up_subject import CLASSES, made_up_image, made_up_model

from frcnn_cli.engine.pages.explain.page import SECTIONS, explain_subject, write_page
from frcnn_cli.engine.pages.explain.subject import make_subject
from frcnn_cli.engine.settings import DetectSettings
from frcnn_proposals.base import Proposals

STEP = (
    "const step = document.querySelector('[data-step=\"1\"]');"
    "for (const _ of document.getElementById('chosen').options) step.click();"
)


@pytest.fixture(scope="module")
def at_the_edges(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Few proposals: outside the map after rounding, of one pixel, and of the whole image.

    There is no ground truth and no detection.
    """
    boxes = np.array(
        [[124, 40, 127, 60], [0, 93, 127, 95], [5, 5, 5, 5], [0, 0, 127, 95]], np.float32
    )
    settings = DetectSettings(score_threshold=1.0)
    subject = make_subject(made_up_model(), made_up_image(), Proposals(boxes), settings)
    assert len(subject.detections) == 0
    return write_page(
        subject, explain_subject(subject), tmp_path_factory.mktemp("edges"), "voc", "mine"
    )


@pytest.fixture(params=["explained", "explained_cascade", "at_the_edges"])
def page(request: pytest.FixtureRequest) -> Path:
    given: Any = request.getfixturevalue(request.param)
    path: Path = getattr(given, "page", given)
    return path


@pytest.mark.parametrize("narrow", [False, True])
def test_it_logs_no_errors_requests_nothing_and_is_not_too_wide(
    chromium: Browser, page: Path, narrow: bool
) -> None:
    chromium.errors()
    chromium.requests()
    open_page(chromium, page, narrow, dark=narrow)
    chromium.run(STEP)
    assert chromium.errors() == []
    assert [u for u in chromium.requests() if not u.startswith("data:")] == [page.as_uri()]
    assert chromium.run("return document.documentElement.scrollWidth - innerWidth") <= 0
    chromium.run("drawing.flush()")
    widths = chromium.run(
        "return [...document.querySelectorAll('canvas')]"
        ".filter(c => c.parentElement.clientWidth).map(c => c.clientWidth)"
    )
    assert len(widths) > 5
    assert all(0 < width <= (360 if narrow else 1280) for width in widths)


def test_everything_is_there_in_words(opened: Browser) -> None:
    assert opened.run("return [...document.querySelectorAll('main > section')].map(s => s.id)") == [
        "start",
        *SECTIONS,
    ]
    unnamed = (
        "return [...document.querySelectorAll('canvas')]"
        ".filter(c => c.parentElement.clientWidth)"
        ".filter(c => c.getAttribute('role') !== 'img' || !c.getAttribute('aria-label'))"
        ".map(c => c.id)"
    )
    assert opened.run(unnamed) == []
    unlabelled = (
        "return [...document.querySelectorAll('main :is(input, select)')]"
        ".filter(c => !c.labels.length && !c.getAttribute('aria-label')).map(c => c.id)"
    )
    assert opened.run(unlabelled) == []
    headings = "return [...document.querySelectorAll('main th')].filter(c => !c.scope).length"
    assert opened.run(headings) == 0


def test_names_are_text(opened: Browser) -> None:
    assert opened.driver.title == "How voc sees <i>made</i> up"
    assert opened.run("return document.querySelectorAll('main :is(b, i:not(#probe))').length") == 0
    options = opened.run("return document.getElementById('chosen').textContent")
    assert CLASSES[2] in options


def test_the_theme_changes_drawings(opened: Browser) -> None:
    pixel = "return document.getElementById('map-cells').toDataURL()"
    light = opened.run(pixel)
    for _ in range(2):
        opened.click(opened.one("#theme"))
    assert opened.one("#theme").text == "Theme: dark"
    from selenium.webdriver.support.wait import WebDriverWait

    WebDriverWait(opened.driver, timeout=60).until(lambda _: opened.run(pixel) != light)
    opened.run("localStorage.clear()")


def test_a_page_of_svms(chromium: Browser, tmp_path: Path) -> None:
    """Margins instead of probabilities, and one proposal."""
    model = made_up_model()
    model.architecture = replace(model.architecture, classifier="svm")
    boxes = Proposals(np.array([[10, 20, 60, 90]], np.float32))
    settings = DetectSettings(score_threshold=None)
    subject = make_subject(model, made_up_image(), boxes, settings)
    page = write_page(subject, explain_subject(subject), tmp_path, "voc", "mine")
    open_page(chromium, page)
    assert chromium.errors() == []
    assert "Margins" in chromium.one("#heads").text
    chromium.run(STEP)
    assert chromium.one("#chosen").get_attribute("value") == "0"
