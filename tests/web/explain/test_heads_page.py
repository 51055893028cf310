"""The section on the heads, in the browser: its texts are the numbers of the network."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from browser import Browser
from explained_page import open_page, shown, table


@pytest.mark.parametrize("k", [0, 11])
def test_layers_scores_and_boxes(opened: Browser, explained: Any, k: int) -> None:
    subject, numbers = explained.subject, explained.numbers["heads"]
    opened.run("explain.select(arguments[0])", k)
    model = subject.model
    fc6 = model.fc6_of(model.pool(subject.feature_map, subject.chosen_rois[k : k + 1]))
    for name, values in (("fc6", fc6.detach()), ("fc7", model.fc7_after(fc6).detach())):
        rows = table(opened, f"#heads-{name}")
        for index, _, value in rows:
            assert np.isclose(shown(value), float(values[0, int(index) - 1]), rtol=6e-3, atol=1e-3)
        assert f"; {int((values > 0).sum())} are above 0" in opened.one(f"#heads-{name}-words").text
    scores = subject.scores[subject.chosen[k]].numpy()
    names = ("background", *subject.classes)
    rows = table(opened, "#heads-scores")
    assert [row[0] for row in rows] == [names[label] for label in np.argsort(-scores)]
    assert np.allclose([shown(row[2]) for row in rows], np.sort(scores)[::-1], atol=1.1e-3)
    best = 1 + int(scores[1:].argmax())
    marked = opened.run("return document.querySelector('#heads-scores .marked th').textContent")
    assert marked == names[best]
    verdict = "enough for" if scores[best] >= 0.3 else "below the threshold of 0.3"
    text = opened.one("#heads-scores-words").text
    assert text.startswith(f"The best class is {names[best]}, {scores[best]:.3f}, {verdict}")
    offsets = [[shown(text) for text in row[1:]] for row in table(opened, "#heads-offsets")]
    assert np.allclose(np.multiply(*offsets[:2]) + offsets[2], offsets[3], atol=3e-3)
    boxes = [[shown(text) for text in row[1:]] for row in table(opened, "#heads-boxes")]
    expected = [subject.proposals.boxes[subject.chosen[k]], numbers["box"][k]]
    assert np.allclose(boxes, expected, atol=0.06)
    percent = f"its width becomes {round(100 * np.exp(offsets[3][2]))}%"
    assert percent in opened.one("#heads-box-words").text


@pytest.mark.parametrize("narrow", [False, True])
def test_bars_are_as_long_as_their_values(chromium: Browser, explained: Any, narrow: bool) -> None:
    open_page(chromium, explained.page, narrow)
    widths = chromium.run(
        "return [...document.querySelectorAll('#heads-fc7 rect')]"
        ".map(bar => bar.getBoundingClientRect().width)"
    )
    values = explained.numbers["heads"]["fc7"]["values"][0]
    assert widths[0] > 40
    assert np.allclose(np.divide(widths, widths[0]), np.divide(values, values[0]), atol=0.02)


def test_the_second_head_and_the_ranker(opened_cascade: Browser, explained_cascade: Any) -> None:
    numbers = explained_cascade.numbers["heads"]
    k = 4
    opened_cascade.run("explain.select(arguments[0])", k)
    text = opened_cascade.one("#heads-more").text
    assert (
        f"at place {numbers['places'][k]} of 300; in detection, the heads read the best 100" in text
    )
    best = numbers["second"]["best"][k]
    values = [numbers["second"]["scores"], numbers["scores"], numbers["second"]["mean"]]
    returned, first, mean = (f"{list_[k][best]:.3f}" for list_ in values)
    assert f"it returns {returned}, the first head {first}" in text
    assert f"their mean, {mean}, " in text
    is_detection = numbers["second"]["mean"][k][best] >= 0.3
    assert ("enough for a detection" in text) == is_detection
    assert ("below the threshold of 0.3" in text) == (not is_detection)
    rows = table(opened_cascade, "#heads-boxes")
    shown_box = [shown(value) for value in rows[2][1:]]
    assert np.allclose(shown_box, numbers["second"]["box"][k], atol=0.06)
