"""The section on truncated SVD, in the browser: its texts are those of the decompositions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from browser import Browser

from frcnn_cli.engine.compression.layers import compress
from frcnn_cli.engine.detection.image import detect_image


def cells(browser: Browser, table: str) -> list[list[str]]:
    texts: list[list[str]] = browser.run(
        "return [...document.querySelectorAll(arguments[0] + ' tr')]"
        ".map(row => [...row.cells].map(cell => cell.textContent.replaceAll('\\u00a0', ' ')))",
        table,
    )
    return texts


def test_layers_at_the_rank_of_the_slider(opened: Browser, explained: Any) -> None:
    slider = opened.one("#svd-rank")
    slider.send_keys("\ue011")  # home
    assert opened.one("#svd-ranked").text == "1"
    for _ in range(3):
        slider.send_keys("\ue014")  # right
    t = int(opened.one("#svd-ranked").text)
    assert t > 1
    model = explained.subject.model
    for name, row in zip(("fc6", "fc7"), cells(opened, "#svd-layers"), strict=True):
        weight = model.get_submodule(name).weight.detach().double()
        u, v = weight.shape
        energy = np.cumsum(torch.linalg.svdvals(weight).numpy() ** 2)
        share, kept = t * (u + v) / (u * v), energy[t - 1] / energy[-1]
        assert row[:4] == [name, f"{u:,} × {v:,}", f"{u * v:,}", f"{t * (u + v):,}"]
        for text, value in ((row[4], share), (row[5], kept)):
            assert float(text.rstrip("%")) == pytest.approx(100 * value, abs=0.51)
    u, v = model.fc6.weight.shape
    assert f"{t} × ({u:,} + {v:,}) = {t * (u + v):,}" in opened.one("#svd-words").text


def test_the_detections_at_a_computed_rank(opened: Browser, explained: Any) -> None:
    subject = explained.subject
    for index, row in enumerate(explained.numbers["svd"]["tried"]):
        opened.click(opened.all("#svd-tried tr")[index])
        model = compress(subject.model, row["ranks"]).model if row["ranks"] else subject.model
        found = detect_image(model, subject.image, subject.proposals, subject.settings)
        shown = cells(opened, "#svd-tried")[index]
        assert shown[0] == ("not truncated" if row["rank"] is None else str(row["rank"]))
        assert shown[2] == str(len(found))
        assert opened.one("#svd-found").text.startswith(f"{len(found)} detection")
        marked = opened.run("return document.querySelector('#svd-tried .marked').sectionRowIndex")
        assert marked == index


def test_a_rank_that_saves_nothing_is_called_so(opened: Browser, explained: Any) -> None:
    opened.run(
        "const c = document.getElementById('svd-layer'); c.value = '1';"
        "c.dispatchEvent(new Event('change'))"
    )
    opened.one("#svd-rank").send_keys("\ue010")  # end
    largest = explained.numbers["svd"]["layers"][1]["largest"]
    assert f"Above rank {largest} the two layers are not smaller" in opened.one("#svd-words").text


def test_both_heads_are_listed(opened_cascade: Browser) -> None:
    names = [row[0] for row in cells(opened_cascade, "#svd-layers")]
    assert names == ["fc6", "fc7", "second.fc6", "second.fc7"]
