"""The section on the loss, in the browser: its texts are the numbers of the network."""

from __future__ import annotations

import math
from typing import Any

import pytest
from browser import Browser
from explained_page import shown, table

from frcnn_cli.engine.boxes import iou_matrix


def with_role(explained: Any, role: str) -> int:
    return [roi["role"] for roi in explained.numbers["loss"]["rois"]].index(role)


def test_the_loss_of_foreground(opened: Browser, explained: Any) -> None:
    subject = explained.subject
    k = with_role(explained, "foreground")
    opened.run("explain.select(arguments[0])", k)
    truth = subject.truth
    box = subject.proposals.boxes[subject.chosen[k] : subject.chosen[k] + 1]
    overlaps = iou_matrix(box, truth.boxes[:2])[0]  # the last one is difficult
    u = int(truth.labels[overlaps.argmax()])
    p = float(subject.scores[subject.chosen[k], u])
    terms = [row[1] for row in table(opened, "#loss-terms")]
    assert terms[0] == f"{overlaps.max():.3f}"
    assert terms[1:3] == ["Foreground", subject.classes[u - 1]]
    assert shown(terms[3]) == pytest.approx(p, abs=6e-4)
    assert shown(terms[4]) == pytest.approx(-math.log(p), abs=1.1e-3)
    assert shown(terms[6]) == pytest.approx(shown(terms[4]) + shown(terms[5]), abs=2e-3)
    rows = [[shown(text or "0") for text in row[1:]] for row in table(opened, "#loss-offsets")]
    for t, v, t_normalised, v_normalised, x, smooth, l2 in rows[:4]:
        close = {"rel": 2e-2, "abs": 6e-3}
        assert x == pytest.approx(t_normalised - v_normalised, **close)
        assert smooth == pytest.approx(x * x / 2 if abs(x) < 1 else abs(x) - 0.5, **close)
        assert l2 == pytest.approx(x * x / 2, **close)
        assert (t - v) * x >= -1e-3
    assert rows[4][5] == pytest.approx(sum(row[5] for row in rows[:4]), abs=0.01)
    assert rows[4][5] == pytest.approx(shown(terms[5]), abs=0.01)
    label = opened.one("#loss-curve").get_attribute("aria-label")
    assert f"x at {table(opened, '#loss-offsets')[0][5]}" in label


def test_background_has_no_box(opened: Browser, explained: Any) -> None:
    k = with_role(explained, "background")
    opened.run("explain.select(arguments[0])", k)
    p = float(explained.subject.scores[explained.subject.chosen[k], 0])
    terms = [row[1] for row in table(opened, "#loss-terms")]
    assert terms[1:3] == ["Background", "background"]
    assert shown(terms[6]) == shown(terms[4]) == pytest.approx(-math.log(p), abs=1.1e-3)
    assert terms[5] == "0 (background)"
    assert not opened.one("#loss-boxes").is_displayed()


def test_roles_of_all_candidates(opened: Browser, explained: Any) -> None:
    numbers = explained.numbers["loss"]
    opened.run("explain.select(0)")
    rows = {row[0]: row[1:] for row in table(opened, "#loss-roles")}
    assert rows["Foreground"] == ["at least 0.5", str(numbers["roles"]["foreground"])]
    assert rows["Background"] == ["0.1 to below 0.5", str(numbers["roles"]["background"])]
    assert sum(int(row[1]) for row in rows.values()) == 2 + 300
    role = {"foreground": "Foreground", "background": "Background"}[numbers["rois"][0]["role"]]
    assert opened.one("#loss-roles .marked th").text == role
    sample = numbers["sample"]
    text = opened.one("#loss-sample").text
    assert f"{sample['foreground']} foreground and {64 - sample['foreground']} background" in text
    assert f"Their mean loss is {sample['total']:.3f}" in text


def test_without_ground_truth_the_section_says_how_to_give_it(opened_cascade: Browser) -> None:
    assert "--truth FILE.xml" in opened_cascade.one("#loss-missing").text
    assert not opened_cascade.one("#loss-content").is_displayed()
