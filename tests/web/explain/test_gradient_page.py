"""The section on the backward pass, in the browser: sums of real gradients."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from browser import Browser
from explained_page import set_value, shown, table

from frcnn_cli.engine.network.losses import multi_task_loss
from frcnn_cli.engine.pages.explain.sample import draw_sample
from frcnn_cli.engine.pages.explain.subject import Subject


def map_gradient(subject: Subject) -> np.ndarray:
    """dL/dx of the sampled RoIs by torchvision's operator, (C, h, w)."""
    sample, model = draw_sample(subject), subject.model
    feature_map = subject.feature_map.detach().clone().requires_grad_()
    boxes = torch.from_numpy(sample.boxes) * subject.scale
    pooled = torchvision.ops.roi_pool(feature_map, [boxes], (7, 7), 1 / 8)
    outputs = model.head(pooled)
    labels = torch.from_numpy(sample.labels)
    targets = model.normalise(torch.from_numpy(sample.targets), labels)
    multi_task_loss(outputs.logits, outputs.offsets, labels, targets).total.backward()
    assert feature_map.grad is not None
    return feature_map.grad[0].numpy()


def counts_of(argmax: list[list[int]]) -> np.ndarray:
    """How many bins have their maximum in each cell."""
    cells = np.ravel(argmax)
    return np.bincount(cells[cells >= 0], minlength=12 * 16)


def choose(browser: Browser, row: int, column: int) -> None:
    set_value(browser, "#gradient-row", row)
    set_value(browser, "#gradient-column", column)


def test_the_sum_of_a_cell_is_its_gradient(opened: Browser, explained: Any) -> None:
    numbers = explained.numbers["gradient"]
    gradient = map_gradient(explained.subject) / 10.0 ** numbers["unit"]
    checked = 0
    for index in (0, 3):
        set_value(opened, "#gradient-channel", index)
        channel = numbers["channels"][index]["channel"]
        counts = counts_of(numbers["channels"][index]["argmax"])
        for cell in (int(counts.argmax()), int(np.flatnonzero(counts == 0)[0])):
            row, column = divmod(cell, 16)
            choose(opened, row, column)
            text = opened.one("#gradient-sum").text
            terms = [shown(each[2]) for each in table(opened, "#gradient-terms")]
            assert len(terms) == counts[cell]
            if not terms:
                assert "∂L/∂x = 0." in text
                assert not opened.one("#gradient-terms").is_displayed()
                continue
            assert f"the maximum of {counts[cell]} bins" in text
            total = shown(re.findall(r"= (−?[\d.]+) \(×", text)[0])
            assert total == pytest.approx(
                gradient[channel, row, column], abs=0.02 + 0.005 * len(terms)
            )
            assert total == pytest.approx(sum(terms), abs=0.01 + 0.005 * len(terms))
            assert [abs(term) for term in terms] == sorted(map(abs, terms), reverse=True)
            checked += 1
    assert checked == 2


def test_the_heat_map_counts_all_channels_or_one(opened: Browser, explained: Any) -> None:
    numbers = explained.numbers["gradient"]
    total = np.sum(numbers["counts"])
    reached = np.count_nonzero(numbers["counts"])
    words = opened.one("#gradient-words").text
    assert f"{total:,} gradients in all channels fall on {reached} of 192 cells" in words
    set_value(opened, "#gradient-shown", "one")  # type: ignore[arg-type]
    counts = counts_of(numbers["channels"][0]["argmax"])
    words = opened.one("#gradient-words").text
    assert f"{counts.sum():,} gradients in channel" in words
    assert f"fall on {np.count_nonzero(counts)} of 192 cells" in words


def test_a_click_and_the_button_choose_a_cell(opened: Browser, explained: Any) -> None:
    opened.run(
        "const c = document.getElementById('gradient-map'), r = c.getBoundingClientRect();"
        "c.dispatchEvent(new MouseEvent('click', {clientX: r.left + 5.5 / 16 * r.width,"
        "clientY: r.top + 3.5 / 12 * r.height}))"
    )
    assert opened.one("#gradient-title-of-cell").text == "The cell in row 3, column 5"
    opened.run("document.getElementById('gradient-most').click()")
    counts = counts_of(explained.numbers["gradient"]["channels"][0]["argmax"])
    row, column = divmod(int(counts.argmax()), 16)
    title = opened.one("#gradient-title-of-cell").text
    assert title == f"The cell in row {row}, column {column}"


def test_a_proposal_chooses_a_cell_of_its_window(opened: Browser, explained: Any) -> None:
    for k in (2, 17):
        opened.run("explain.select(arguments[0])", k)
        (top, bottom), (left, right) = explained.numbers["gradient"]["windows"][k]
        title = opened.one("#gradient-title-of-cell").text
        row, column = map(int, re.findall(r"\d+", title))
        assert top <= row <= bottom
        assert left <= column <= right


def test_without_ground_truth_there_are_places_only(opened_cascade: Browser) -> None:
    assert "so this one shows where gradients fall" in opened_cascade.one("#gradient-sample").text
    assert not opened_cascade.one("#gradient-values").is_displayed()
    assert {len(row) for row in table(opened_cascade, "#gradient-terms")} == {2}
