"""Tables: sorting, filtering, and their accessibility attributes."""

from __future__ import annotations

from pathlib import Path

import pytest
from browser import Browser
from made_up_report import CLASSES


@pytest.fixture(autouse=True)
def opened(chromium: Browser, single: Path) -> None:
    chromium.open(single)


def numbers(texts: list[str]) -> list[float]:
    return [float(text.replace(",", "")) for text in texts if text != "–"]


def test_a_click_sorts_and_a_second_click_reverses(chromium: Browser) -> None:
    button = chromium.all("#class-table thead .sort")[3]  # VOC, 11-point
    chromium.click(button)
    values = numbers(chromium.column("#class-table", 3))
    assert values == sorted(values, reverse=True)
    assert len(set(values)) > 2
    assert chromium.run("return arguments[0].closest('th').ariaSort", button) == "descending"
    chromium.click(button)
    assert numbers(chromium.column("#class-table", 3)) == sorted(values)
    assert chromium.run("return arguments[0].closest('th').ariaSort", button) == "ascending"


def test_only_one_heading_is_marked_as_sorted(chromium: Browser) -> None:
    for button in chromium.all("#class-table thead .sort")[:3]:
        chromium.click(button)
    sorting = chromium.run("return document.querySelectorAll('#class-table [aria-sort]').length")
    assert sorting == 1


def test_text_is_sorted_as_text(chromium: Browser) -> None:
    chromium.click(chromium.all("#class-table thead .sort")[0])
    names = chromium.column("#class-table", 0)
    assert sorted(names) == sorted(CLASSES)
    assert [name for name in names if name in ("cat", "dog", "horse")] == ["cat", "dog", "horse"]
    chromium.click(chromium.all("#class-table thead .sort")[0])
    assert chromium.column("#class-table", 0) == names[::-1]


def test_headings_can_be_used_by_keyboard(chromium: Browser) -> None:
    chromium.click(chromium.one("#filter-class-table"))
    chromium.press("\ue004")  # tab: the table, which can be scrolled
    chromium.press("\ue004")
    chromium.press("\ue004")  # the second heading: objects
    chromium.press("\ue007")  # enter
    values = numbers(chromium.column("#class-table", 1))
    assert values == sorted(values, reverse=True)
    chromium.press(" ")
    assert numbers(chromium.column("#class-table", 1)) == sorted(values)


@pytest.mark.parametrize(
    ("typed", "count"),
    [
        ("o", 4),
        ("DOG", 1),
        ("<script>", 1),
        ("'single'", 1),
        ("כלב", 1),
        ("[", 0),
        ("zebra", 0),
    ],
)
def test_typing_filters(chromium: Browser, typed: str, count: int) -> None:
    field = chromium.one("#filter-class-table")
    field.send_keys(typed)
    shown = chromium.column("#class-table", 0)
    assert all(typed.lower() in name.lower() for name in shown)
    if typed != "o":
        assert len(shown) == count
    assert chromium.one(".filter output").text == f"{len(shown)} of {len(CLASSES)} rows"
    field.clear()
    field.send_keys("x", "\ue003")
    assert len(chromium.column("#class-table", 0)) == len(CLASSES)
    assert chromium.one(".filter output").text == f"{len(CLASSES)} rows"


def test_sorting_keeps_the_filter(chromium: Browser) -> None:
    chromium.one("#filter-class-table").send_keys("g")
    before = set(chromium.column("#class-table", 0))
    chromium.click(chromium.all("#class-table thead .sort")[1])
    assert set(chromium.column("#class-table", 0)) == before


def test_every_field_has_a_label(chromium: Browser) -> None:
    nameless = chromium.run(
        "return [...document.querySelectorAll('input, select')]"
        ".filter(field => field.labels.length === 0).length"
    )
    assert nameless == 0
    assert chromium.run(
        "return [...document.querySelectorAll('table.data thead th')]"
        ".every(cell => cell.scope === 'col')"
    )
