"""The gallery and the enlarged image, by mouse and by keyboard."""

from __future__ import annotations

from pathlib import Path

import pytest
from browser import NARROW, Browser
from made_up_report import CLASSES

TAB, ENTER, ESCAPE = "\ue004", "\ue007", "\ue00c"
LEFT, RIGHT, HOME, END = "\ue012", "\ue014", "\ue011", "\ue010"

# Group, kind and class of the cards in the list, including those hidden by the limit.
LISTED = (
    "return [...document.querySelectorAll('#cards .card:not(.other)')]"
    ".map(card => [card.dataset.show, card.dataset.kind, card.dataset.class])"
)


@pytest.fixture(autouse=True)
def opened(chromium: Browser, single: Path) -> None:
    chromium.open(single)


def choose(chromium: Browser, field: str, value: str) -> None:
    from selenium.webdriver.support.select import Select

    Select(chromium.one(f"#gallery [data-by={field}]")).select_by_value(value)


def place(chromium: Browser) -> str:
    text: str = chromium.one("#lightbox-place").text
    return text


def test_it_can_be_filtered_by_group_kind_and_class(chromium: Browser) -> None:
    everything = chromium.run(LISTED)
    assert {group for group, _, _ in everything} == {"best", "mistake", "missed"}
    for value, place in (("best", 0), ("mistake", 0), ("missed", 0), ("confusion", 1)):
        choose(chromium, "show", value)
        expected = [card for card in everything if card[place] == value]
        assert chromium.run(LISTED) == expected
        assert expected
        assert chromium.one("#gallery output").text in (f"{len(expected)} images", "1 image")
    choose(chromium, "show", "mistake")
    choose(chromium, "class", CLASSES[0])
    expected = [card for card in everything if card[0] == "mistake" and card[2] == CLASSES[0]]
    assert chromium.run(LISTED) == expected
    choose(chromium, "show", "")
    choose(chromium, "class", "")
    assert chromium.run(LISTED) == everything


def test_a_group_is_sorted_by_confidence(chromium: Browser) -> None:
    choose(chromium, "show", "mistake")
    scores = chromium.run(
        "return [...document.querySelectorAll('#cards .card:not(.other) .score')]"
        ".map(score => Number(score.textContent))"
    )
    assert scores == sorted(scores, reverse=True)


def test_a_button_shows_more(chromium: Browser) -> None:
    count = len(chromium.run(LISTED))
    assert len(chromium.all("#cards .card")) == 30 < count
    chromium.click(chromium.one("#gallery .more"))
    assert len(chromium.all("#cards .card")) == min(90, count)


def test_a_click_enlarges_and_escape_closes(chromium: Browser) -> None:
    card = chromium.all("#cards .open")[2]
    small = card.size["width"]
    chromium.click(card)
    assert chromium.one("#lightbox-stage .pic").size["width"] > 2 * small
    assert chromium.one("#lightbox").get_attribute("open")
    assert place(chromium).startswith("3 / ")
    words = chromium.one("#lightbox-words").text
    assert words.startswith("Image ")
    assert "Objects:" in words
    chromium.press(ESCAPE)
    assert not chromium.one("#lightbox").get_attribute("open")
    assert chromium.driver.switch_to.active_element == card


def test_it_works_by_keyboard_alone(chromium: Browser) -> None:
    first = chromium.all("#cards .open")[0]
    chromium.run("arguments[0].focus()", first)
    chromium.press(ENTER)
    count = len(chromium.run(LISTED))
    assert place(chromium) == f"1 / {count}"
    for key, expected in (
        (RIGHT, 2),
        (RIGHT, 3),
        (LEFT, 2),
        (END, count),
        (RIGHT, 1),
        (LEFT, count),
    ):
        chromium.press(key)
        assert place(chromium) == f"{expected} / {count}"
    chromium.press(HOME)
    # The focus stays inside the dialog.
    for _ in range(8):
        chromium.press(TAB)
        assert chromium.run(
            "return document.activeElement === document.body ||"
            "document.getElementById('lightbox').contains(document.activeElement)"
        )
    chromium.press(RIGHT)
    chromium.press(ESCAPE)
    second = chromium.all("#cards .open")[1]
    assert chromium.driver.switch_to.active_element == second
    chromium.press(" ")
    assert place(chromium) == f"2 / {count}"
    chromium.press(ESCAPE)


def test_arrow_keys_respect_the_filter(chromium: Browser) -> None:
    choose(chromium, "show", "missed")
    expected = len(chromium.run(LISTED))
    chromium.click(chromium.all("#cards .open")[0])
    assert place(chromium) == f"1 / {expected}"
    assert "missed object" in chromium.one("#lightbox-caption").text
    chromium.press(RIGHT)
    assert "missed object" in chromium.one("#lightbox-caption").text
    chromium.press(ESCAPE)


def test_ground_truth_and_detections_are_switched_separately(chromium: Browser) -> None:
    def drawn(container: str) -> tuple[bool, bool]:
        return tuple(
            bool(chromium.all(f"{container} .{layer} rect")) for layer in ("object", "detection")
        )

    assert drawn("#cards") == (True, True)
    chromium.click(chromium.one("#gallery [data-layer=objects]"))
    assert drawn("#cards") == (False, True)
    chromium.click(chromium.all("#cards .open")[0])
    assert not chromium.one("#lightbox [data-layer=objects]").is_selected()
    chromium.click(chromium.one("#lightbox [data-layer=detections]"))
    assert drawn("#lightbox-stage") == (False, False)
    chromium.click(chromium.one("#lightbox [data-layer=objects]"))
    assert drawn("#lightbox-stage")[0]
    chromium.press(ESCAPE)
    assert not chromium.one("#gallery [data-layer=detections]").is_selected()


def test_boxes_are_aligned_with_their_images(chromium: Browser) -> None:
    """A box at the image's corner is drawn at that corner, even if the image is letterboxed."""
    for size in ((1280, 900), NARROW):
        chromium.open(Path(chromium.driver.current_url.removeprefix("file://")), size)
        differences = chromium.run(
            """
            const pic = document.querySelector("#cards .pic");
            const image = pic.querySelector("img"), svg = pic.querySelector("svg");
            const scale = Math.min(image.clientWidth / image.naturalWidth,
                                   image.clientHeight / image.naturalHeight);
            const frame = image.getBoundingClientRect();
            const left = frame.x + (frame.width - scale * image.naturalWidth) / 2;
            const top = frame.y + (frame.height - scale * image.naturalHeight) / 2;
            const matrix = svg.getScreenCTM();
            return [matrix.e - left, matrix.f - top, matrix.a - scale, matrix.d - scale];
            """
        )
        assert differences == pytest.approx([0, 0, 0, 0], abs=0.5)
        fit = "return getComputedStyle(document.querySelector('#cards img')).objectFit"
        assert chromium.run(fit) == "contain"  # as assumed above


def test_without_images_the_descriptions_are_shown(chromium: Browser) -> None:
    alt = chromium.run(
        "const image = document.querySelector('#cards img'); image.src = 'data:,';"
        "return [image.alt, image.getBoundingClientRect().height]"
    )
    assert "Right detections" in alt[0]
    assert alt[1] > 50


def test_two_detectors_are_shown_side_by_side(chromium: Browser, double: Path) -> None:
    chromium.open(double)
    pairs = chromium.all("#pairs .card")
    assert len(pairs) == 8
    left, right = pairs[0].find_elements("css selector", ".side")
    assert left.location["y"] == right.location["y"]
    assert left.location["x"] < right.location["x"]
    words = pairs[0].find_element("css selector", "figcaption").text
    assert "gained" in words or "lost" in words or "mistakes" in words
    chromium.click(pairs[0].find_element("css selector", ".open"))
    assert len(chromium.all("#lightbox-stage .pic")) == 2
    chromium.press(RIGHT)
    assert place(chromium).startswith("2 / ")
    chromium.press(ESCAPE)
    choose(chromium, "model", "1")
    models = chromium.run(
        "return [...document.querySelectorAll('#cards .card:not(.other)')]"
        ".map(card => card.dataset.model)"
    )
    assert set(models) == {"1"}
    assert chromium.errors() == []
