"""The section on receptive fields and costs, in the browser: its texts are the numbers."""

from __future__ import annotations

from typing import Any

import pytest
from browser import Browser
from explained_page import set_value, table

from frcnn_cli.engine.network.layer_costs import layer_costs


@pytest.mark.parametrize("k", [0, 9])
def test_sizes_of_the_proposal_and_its_field(opened: Browser, explained: Any, k: int) -> None:
    subject, numbers = explained.subject, explained.numbers["field"]
    opened.run("explain.select(arguments[0])", k)
    x1, y1, x2, y2 = subject.proposals.boxes[subject.chosen[k]]
    field = numbers["fields"][k]
    rows = [[int(text) for text in row[1:3]] for row in table(opened, "#field-sizes")]
    assert rows[0] == pytest.approx(
        [(x2 - x1 + 1) * subject.scale, (y2 - y1 + 1) * subject.scale], abs=1
    )
    assert rows[1] == field["pixels"]
    assert rows[2] == [128, 96]
    percent = round(100 * field["share"])
    assert table(opened, "#field-sizes")[1][3] == f"{percent}%"
    assert f"it depends on {percent}% of the image" in opened.one("#field-words").text


def test_the_slider_walks_back_from_the_proposal(opened: Browser, explained: Any) -> None:
    numbers = explained.numbers["field"]
    layers = numbers["layers"]
    assert opened.one("#field-stepped").text == f"{len(layers)} of {len(layers)}"
    set_value(opened, "#field-step", 0)
    assert opened.one("#field-words").text.startswith("The proposal itself")
    set_value(opened, "#field-step", 2)
    text = opened.one("#field-words").text
    assert f"Back to the input of {layers[1]['name']}" in text
    x1, y1, x2, y2 = numbers["fields"][0]["steps"][1]
    share = 100 * (x2 - x1 + 1) * (y2 - y1 + 1) / (128 * 96)
    assert f"covers {share:.0f}% of the image" in text
    assert (
        opened.one("#field-step")
        .get_attribute("aria-valuetext")
        .endswith(
            f"{layers[1]['name']} ({' × '.join(map(str, layers[1]['kernel']))}"
            + (f", stride {layers[1]['stride']})" if layers[1]["stride"] > 1 else ")")
        )
    )


def test_costs_and_measurement(opened: Browser, explained: Any) -> None:
    costs = layer_costs(explained.subject.model.architecture, (96, 128))
    image = costs.multiply_adds(0)
    totals = [2 * costs.multiply_adds(64), 128 * costs.multiply_adds(1)]
    rows = table(opened, "#field-costs")
    assert rows[0][0] == "2 images, as Fast R-CNN"
    assert [row[1] for row in rows] == [
        f"2 × {in_words(image)}",
        f"128 × {in_words(image)}",
    ]
    assert [row[2] for row in rows] == [in_words(total) for total in totals]
    assert (
        f"Together that is {totals[1] / totals[0]:.0f} times as much"
        in opened.one("#field-costs-words").text
    )
    measured = opened.one("#field-measured").text
    assert "frcnn bench sampling: 0.78 seconds" in measured
    assert "82 times" in measured


def in_words(multiply_adds: int) -> str:
    """Three digits, with the unit."""
    number, unit = (multiply_adds / 1e6, "million")
    if multiply_adds >= 1e9:
        number, unit = (multiply_adds / 1e9, "billion")
    return f"{number:.{2 if number < 10 else 1 if number < 100 else 0}f} {unit}"
