"""The section from image to map, in the browser: its texts are the numbers of the network."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from browser import Browser
from explained_page import shown, table

from frcnn_cli.engine.network.transforms import image_tensor


def test_sizes(opened: Browser, explained: Any) -> None:
    model = explained.subject.model
    tensor, _ = image_tensor(explained.subject.image, model.architecture.preprocessing)
    _, _, height, width = model.features(tensor[None]).shape
    assert [row[1:] for row in table(opened, "#map-sizes")] == [
        ["128", "96"],
        [str(tensor.shape[2]), str(tensor.shape[1])],
        [str(width), str(height)],
    ]
    assert f"Stride {model.stride}:" in opened.one("#map-cells-words").text


@pytest.mark.parametrize("k", [0, 7])
def test_the_places_of_the_chosen_proposal(opened: Browser, explained: Any, k: int) -> None:
    subject = explained.subject
    opened.run("explain.select(arguments[0])", k)
    box = subject.proposals.boxes[subject.chosen[k]]
    expected = [(box, 0), (box * subject.scale, 1), (box * subject.scale / 8, 2)]
    for row, (values, digits) in zip(table(opened, "#map-places"), expected, strict=True):
        found = [shown(text) for text in row[1:]]
        assert np.allclose(found, values, atol=0.51 * 10.0**-digits)
    assert f"Proposal {k + 1} of 40" in opened.one("#map-image-words").text


def test_the_slider_counts_the_proposals(opened: Browser) -> None:
    assert opened.one("#map-counted").text == "50 of 300"
    opened.one("#map-count").send_keys("\ue010")  # end
    assert opened.one("#map-counted").text == "300 of 300"


def test_a_click_selects_the_smallest_box_there_then_the_next(
    opened: Browser, explained: Any
) -> None:
    chosen = explained.numbers["page"]["chosen"]
    x, y = 40, 50
    under = [
        k
        for k, roi in enumerate(chosen)
        if roi["box"][0] <= x <= roi["box"][2] and roi["box"][1] <= y <= roi["box"][3]
    ]
    area = {
        k: (box[2] - box[0] + 1) * (box[3] - box[1] + 1)
        for k in under
        for box in [chosen[k]["box"]]
    }
    expected = sorted(under, key=lambda k: area[k])
    click = (
        "const c = document.getElementById('map-image'), r = c.getBoundingClientRect();"
        "c.dispatchEvent(new MouseEvent('click', {clientX: r.left + arguments[0] / 128 * r.width,"
        "clientY: r.top + arguments[1] / 96 * r.height}));"
        "return Number(document.getElementById('chosen').value)"
    )
    opened.run("explain.select(arguments[0])", expected[-1])
    assert [opened.run(click, x + 0.5, y + 0.5) for _ in range(3)] == expected[:3]


def test_the_list_and_its_buttons_select_by_keyboard(opened: Browser, explained: Any) -> None:
    opened.one("#chosen").send_keys("\ue015")  # down
    assert opened.one("#why").text == explained.numbers["page"]["chosen"][1]["why"]
    assert "Proposal 2 of 40" in opened.one("#map-image-words").text
    opened.one('[data-step="-1"]').send_keys("\ue007")  # enter
    opened.one('[data-step="-1"]').send_keys("\ue007")
    assert "Proposal 40 of 40" in opened.one("#map-image-words").text
