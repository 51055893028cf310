"""The section on RoI pooling, in the browser: its texts are the numbers of the network."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torchvision
from browser import Browser
from explained_page import set_value, shown, table


def numbers_of(text: str) -> list[int]:
    return [int(number.replace(",", "")) for number in re.findall(r"\d[\d,]*", text)]


@pytest.mark.parametrize(("k", "channel"), [(0, 0), (5, 3), (12, 7)])
def test_the_pooled_map(opened: Browser, explained: Any, k: int, channel: int) -> None:
    subject, numbers = explained.subject, explained.numbers["pooling"]
    opened.run("explain.select(arguments[0])", k)
    set_value(opened, "#pooling-channel", channel)
    index = numbers["channels"][channel]
    feature_map = subject.feature_map[:, index : index + 1]
    expected = torchvision.ops.roi_pool(feature_map, subject.chosen_rois[k : k + 1], (7, 7), 1 / 8)
    rows = table(opened, "#pooling-values")
    values = [[shown(text) for text in row[1:]] for row in rows]
    assert np.allclose(values, expected[0, 0], rtol=6e-4, atol=6e-3)


def test_a_bin_written_out(opened: Browser, explained: Any) -> None:
    subject, numbers = explained.subject, explained.numbers["pooling"]
    for k, i, j in ((0, 0, 0), (3, 4, 2), (9, 6, 6)):
        opened.run("explain.select(arguments[0])", k)
        set_value(opened, "#pooling-i", i)
        set_value(opened, "#pooling-j", j)
        r, c, h, w = numbers["windows"][k]
        assert opened.one("#pooling-bin-title").text == f"Bin ({i}, {j})"
        for name, start, length, index in (("rows", r, h, i), ("columns", c, w, j)):
            low, high = start + index * length // 7, start + -(-(index + 1) * length // 7) - 1
            text = opened.one(f"#pooling-bin-{name}").text
            written = [start, index, length, 7, low, start, index + 1, length, 7, 1, high]
            assert numbers_of(text)[:11] == written
        (top, bottom), (left, right) = numbers["rows"][k][i], numbers["columns"][k][j]
        cells = subject.feature_map[0, numbers["channels"][0], top:bottom, left:right]
        rows = table(opened, "#pooling-bin-cells")
        assert [int(row[0]) for row in rows] == list(range(top, bottom))
        values = [[shown(text) for text in row[1:]] for row in rows]
        assert np.allclose(values, cells, rtol=6e-4, atol=6e-3)
        marked = opened.run("return document.querySelector('#pooling-bin-cells .top').textContent")
        assert np.isclose(shown(marked), float(cells.max()), rtol=6e-4, atol=6e-3)
        y, x = divmod(int(cells.argmax()), cells.shape[1])
        text = opened.one("#pooling-bin-maximum").text
        assert f"in row {top + y}, column {left + x} of the map" in text


def test_rounding(opened: Browser, explained: Any) -> None:
    opened.run("explain.select(6)")
    _, x1, y1, x2, y2 = explained.subject.chosen_rois[6].tolist()
    expected = [[value, value / 8, np.floor(value / 8 + 0.5)] for value in (y1, x1, y2, x2)]
    rows = [[shown(text) for text in row[1:]] for row in table(opened, "#pooling-rounding")]
    assert np.allclose(rows, expected, atol=0.051)


def test_cells_that_two_proposals_share(opened: Browser, explained: Any) -> None:
    numbers = explained.numbers["pooling"]
    height, width = numbers["map"]
    beyond = [max(r + h - height, c + w - width) for r, c, h, w in numbers["windows"]]
    furthest = max((k for k in range(len(beyond)) if k != 8), key=lambda k: beyond[k])
    assert beyond[furthest] > 0
    for k in (2, furthest):
        assert_shared(opened, numbers, k, 8)


def assert_shared(opened: Browser, numbers: Any, first_k: int, second_k: int) -> None:
    opened.run("explain.select(arguments[0])", first_k)
    set_value(opened, "#pooling-second", second_k)
    masks = np.zeros((2, *numbers["map"]), bool)
    for mask, k in zip(masks, (first_k, second_k), strict=True):
        r, c, h, w = numbers["windows"][k]
        mask[r : r + h, c : c + w] = True
    maxima = [
        {(channel, cell) for channel, cells in enumerate(numbers["cells"][k]) for cell in cells}
        for k in (first_k, second_k)
    ]
    same = sum(cell >= 0 for _, cell in maxima[0] & maxima[1])
    text = opened.one("#pooling-shared").text
    first, second, both = masks[0].sum(), masks[1].sum(), (masks[0] & masks[1]).sum()
    assert numbers_of(text)[:7] == [first_k + 1, first, second_k + 1, second, both, 8, same]


def test_a_click_on_the_pooled_map_chooses_its_bin(opened: Browser) -> None:
    opened.run(
        "const c = document.getElementById('pooling-result'), r = c.getBoundingClientRect();"
        "c.dispatchEvent(new MouseEvent('click', {clientX: r.left + r.width * 5.5 / 7,"
        "clientY: r.top + r.height * 2.5 / 7}));"
    )
    assert opened.one("#pooling-bin-title").text == "Bin (2, 5)"
