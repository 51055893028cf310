"""What is counted per class passes over the detections once, not once for each class."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from builders import random_case
from slopes import CountingArray, numbers_during, slope

from frcnn_cli.engine.evaluation.at_threshold import evaluate_at_threshold
from frcnn_cli.engine.evaluation.tables import rows_by_group, truth_table
from frcnn_cli.engine.evaluation.voc import evaluate_voc_tables, precision_recall_curves
from frcnn_cli.engine.pages.report.findings import choose_findings
from frcnn_cli.engine.pages.report.records import Report
from frcnn_cli.engine.pages.report.subjects import subject_of_file

WORK: dict[str, Callable[[Report], object]] = {
    "gallery": choose_findings,
    "averages": lambda report: evaluate_voc_tables(
        report.dataset.classes, report.truth, report.subjects[0].found
    ),
    "curves": lambda report: precision_recall_curves(
        report.dataset.classes, report.truth, report.subjects[0].found
    ),
    "at one threshold": lambda report: evaluate_at_threshold(
        report.dataset.classes, report.truth, report.subjects[0].found, 0.1
    ),
}


def report_with(classes: int) -> Report:
    """The same detections, with more classes that none of them has."""
    dataset, found = random_case(3, images=40)
    names = (*dataset.classes, *(f"class {number}" for number in range(classes)))
    dataset = replace(dataset, classes=names)
    subject = subject_of_file(dataset, found, Path("found.json"))
    counting = replace(subject.found, label=subject.found.label.view(CountingArray))
    return Report(dataset, truth_table(dataset), (replace(subject, found=counting),), None, {}, "")


@pytest.mark.parametrize("name", WORK)
def test_work_does_not_grow_with_the_number_of_classes(name: str) -> None:
    counts = []
    for classes in (10, 100):
        report = report_with(classes)
        counts.append((classes, numbers_during(partial(WORK[name], report))))
    assert counts[0][1] >= len(report.subjects[0].found)
    assert slope(*counts) == 0


def test_rows_are_grouped_in_their_order() -> None:
    rng = np.random.default_rng(0)
    group, rows = rng.integers(0, 9, 200), rng.permutation(200)[:150]
    expected = [rows[group[rows] == number].tolist() for number in range(12)]
    assert [found.tolist() for found in rows_by_group(group, rows, 12)] == expected
    assert [found.tolist() for found in rows_by_group(group, rows[:0], 2)] == [[], []]
