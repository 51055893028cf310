"""The choice of images for the gallery, in cases that can be checked by eye."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from frcnn_cli.engine.evaluation.tables import truth_table
from frcnn_cli.engine.pages.report.findings import LIMITS, Finding, choose_findings
from frcnn_cli.engine.pages.report.records import Report
from frcnn_cli.engine.pages.report.subjects import subject_of_file
from frcnn_cli.engine.records import Dataset, Detections, GroundTruth, ImageRecord

OBJECT = [10.0, 10, 49, 49]
FAR = [100.0, 100, 139, 139]


def image(name: str, *objects: tuple[list[float], int]) -> ImageRecord:
    boxes = np.array([box for box, _ in objects], np.float32).reshape(-1, 4)
    labels = np.array([label for _, label in objects], np.int64)
    return ImageRecord(name, Path(name), 200, 200, GroundTruth(boxes, labels, labels < 0))


def detections(*rows: tuple[list[float], float, int]) -> Detections:
    return Detections(
        np.array([box for box, _, _ in rows], np.float32).reshape(-1, 4),
        np.array([score for _, score, _ in rows], np.float32),
        np.array([label for _, _, label in rows], np.int64),
    )


def report_on(images: list[ImageRecord], found: dict[str, Detections]) -> Report:
    dataset = Dataset("hand-made", "test", ("cat", "dog"), tuple(images))
    subject = subject_of_file(dataset, found, Path("found.json"))
    return Report(dataset, truth_table(dataset), (subject,), None, {}, "")


def of_group(findings: tuple[Finding, ...], group: str) -> list[tuple[str, int, int]]:
    return [(f.kind, f.label, f.image) for f in findings if f.group == group]


def test_each_finding_is_in_its_group_and_kind() -> None:
    report = report_on(
        [image("a", (OBJECT, 1)), image("b", (OBJECT, 1)), image("c", (OBJECT, 2))],
        {
            "a": detections((OBJECT, 0.9, 1), (FAR, 0.8, 2)),
            "b": detections((OBJECT, 0.7, 2)),
        },
    )
    findings = choose_findings(report)
    assert of_group(findings.shown, "best") == [("right", 1, 0)]
    assert of_group(findings.shown, "mistake") == [("background", 2, 0), ("confusion", 2, 1)]
    # With its class corrected, the cat of b would be found; nothing would find the dog of c.
    assert of_group(findings.shown, "missed") == [("missed", 2, 2)]
    assert findings.totals == {"best": 1, "mistake": 2, "missed": 1}


def test_a_rare_class_comes_before_the_second_of_a_common_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(LIMITS, "best", 2)
    images = [image(f"cat {n}", (OBJECT, 1)) for n in range(3)] + [image("dog", (OBJECT, 2))]
    found = {f"cat {n}": detections((OBJECT, 0.9 - n / 100, 1)) for n in range(3)}
    found["dog"] = detections((OBJECT, 0.1, 2))
    findings = choose_findings(report_on(images, found))
    assert of_group(findings.shown, "best") == [("right", 1, 0), ("right", 2, 3)]
    assert findings.totals["best"] == 4


def test_an_image_occurs_once_in_a_group() -> None:
    report = report_on(
        [image("a", (OBJECT, 1), (FAR, 1))],
        {"a": detections((OBJECT, 0.9, 1), (FAR, 0.8, 1))},
    )
    findings = choose_findings(report)
    assert [finding.score for finding in findings.shown] == [pytest.approx(0.9)]
    assert findings.totals["best"] == 2


def test_missed_objects_are_sorted_by_size() -> None:
    small, large = [0.0, 0, 9, 9], [0.0, 0, 99, 99]
    report = report_on([image("a", (small, 1)), image("b", (large, 1))], {})
    assert [finding.image for finding in choose_findings(report).shown] == [1, 0]
