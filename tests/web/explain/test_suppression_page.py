"""The section on suppression, in the browser: its texts are the decisions of the detector."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from browser import Browser
from explained_page import open_page

from frcnn_cli.engine.detection.image import detect_image
from frcnn_cli.engine.pages.explain.page import write_page

END, HOME = "\ue010", "\ue011"


def candidates(browser: Browser) -> list[list[str]]:
    texts: list[list[str]] = browser.run(
        "return [...document.querySelectorAll('#suppression-candidates tr')]"
        ".map(row => [...row.cells].map(cell => cell.textContent))"
    )
    return texts


def choose(browser: Browser, control: str, value: object) -> None:
    browser.run(
        "const c = document.getElementById(`suppression-${arguments[0]}`);"
        "c.value = arguments[1];"
        "for (const kind of ['input', 'change']) c.dispatchEvent(new Event(kind));",
        control,
        str(value),
    )


@pytest.mark.parametrize("threshold", [0.3, 0.6])
def test_the_kept_candidates_are_the_detections(
    opened: Browser, explained: Any, threshold: float
) -> None:
    subject = explained.subject
    choose(opened, "threshold", threshold)
    settings = replace(subject.settings, score_threshold=threshold)
    found = detect_image(subject.model, subject.image, subject.proposals, settings)
    shown = explained.numbers["suppression"]["classes"]
    assert {group["label"] for group in shown} == {1, 2, 3}
    for index, group in enumerate(shown):
        choose(opened, "class", index)
        kept = [row[1] for row in candidates(opened) if row[2] == "kept"]
        scores = found.scores[found.labels == group["label"]]
        assert kept == [f"{score:.2f}" for score in scores]


def test_each_step_says_what_happens_to_the_candidate(opened: Browser, explained: Any) -> None:
    group = explained.numbers["suppression"]["classes"][0]
    choose(opened, "class", 0)
    step = opened.one("#suppression-step")
    step.send_keys(HOME)
    assert "Candidate 1, score" in opened.one("#suppression-words").text
    assert "kept, because it has the highest score" in opened.one("#suppression-words").text
    step.send_keys(END)
    passed = candidates(opened)
    assert opened.one("#suppression-stepped").text == f"{len(passed)} of {len(passed)}"
    index = next(i for i in range(len(passed)) if group["candidates"][i]["by"] is not None)
    opened.click(opened.all("#suppression-candidates tr")[index])
    own = group["candidates"][index]
    words = f"suppressed by candidate {own['by'] + 1}, because their IoU of {own['iou']:.3f} is"
    assert words in opened.one("#suppression-words").text
    assert opened.one("#suppression-image").get_attribute("aria-label").endswith("0.3.")


def test_a_score_that_is_not_a_number(chromium: Browser, explained: Any, tmp_path: Path) -> None:
    numbers = copy.deepcopy(explained.numbers)
    first = numbers["suppression"]["classes"][0]["candidates"][0]
    first.update(score=None, by=None, iou=0, place=-1)
    opened = open_page(chromium, write_page(explained.subject, numbers, tmp_path, "voc", "dense"))
    choose(opened, "class", 0)
    assert candidates(opened)[0] == ["1", "", "suppressed: its score is not a number"]
    opened.one("#suppression-step").send_keys(HOME)
    assert "its score is not a number" in opened.one("#suppression-words").text


def test_the_chosen_proposal_selects_its_candidate(opened: Browser, explained: Any) -> None:
    numbers = explained.numbers
    groups = numbers["suppression"]["classes"]
    for k in range(0, 40, 9):
        opened.run("explain.select(arguments[0])", k)
        proposal = numbers["page"]["chosen"][k]["index"]
        own = [
            (candidate["score"], group["label"], position)
            for group in groups
            for position, candidate in enumerate(group["candidates"])
            if candidate["proposal"] == proposal
        ]
        text = opened.one("#suppression-roi").text
        if own:
            _, label, position = max(own)
            name = explained.subject.classes[label - 1]
            assert f"Proposal {k + 1} became candidate {position + 1} of {name}" in text
        else:
            assert f"Proposal {k + 1} is not among the candidates" in text


def test_a_threshold_above_all_scores(opened: Browser) -> None:
    choose(opened, "threshold", 1)
    assert candidates(opened) == []
    assert "reaches the threshold: the highest score is" in opened.one("#suppression-words").text


def test_the_papers_network_has_no_second_head_and_no_voting(opened: Browser) -> None:
    assert not opened.all("#suppression-voting")
    assert not opened.all("#suppression-cascade")
    assert opened.all("#suppression-no-voting")


def test_voting_and_the_second_head(opened_cascade: Browser, explained_cascade: Any) -> None:
    numbers = explained_cascade.numbers["suppression"]
    choose(opened_cascade, "threshold", 0)
    choose(opened_cascade, "class", 0)
    choose(opened_cascade, "step", 1)
    best = numbers["classes"][0]["candidates"][0]
    rows = opened_cascade.run(
        "return ['voted', 'cascade'].map(name => [...document.querySelectorAll("
        "`#suppression-${name} tr`)].map(row => [...row.cells].slice(1).map(c => c.textContent)))"
    )
    shown = [[float(text.replace("−", "-")) for text in row] for row in rows[0]]
    assert shown[0] == pytest.approx(best["box"], abs=0.06)
    assert shown[1] == pytest.approx(best["voted"], abs=0.06)
    words = f"{best['voters']} of the {numbers['classes'][0]['count']} candidates"
    assert words in opened_cascade.one("#suppression-voted-words").text
    own = numbers["cascade"][0]
    assert [row[0] for row in rows[1]] == [
        "", f"{own['first']:.3f}", f"{own['second']:.3f}", f"{own['mean']:.3f}"
    ]  # fmt: skip
