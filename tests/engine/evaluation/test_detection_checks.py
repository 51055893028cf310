"""Warnings about files of detections that cannot be right, each from a right file changed so."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from builders import make_dataset
from reporters import RecordingReporter

from frcnn_cli.engine.evaluation.detection_checks import class_findings
from frcnn_cli.engine.evaluation.detections_file import read_detections
from frcnn_cli.engine.evaluation.scores import evaluate

CLASSES = ["cat", "dog", "cow"]
OBJECTS = [("cat", (10, 20, 209, 319)), ("dog", (300, 250, 449, 399)), ("cat", (5, 5, 94, 94))]
DATASET = make_dataset(CLASSES, **{f"i{number}": OBJECTS for number in range(10)})
Entry = dict[str, Any]


def right_entries() -> list[Entry]:
    return [
        {
            "image_id": image.image_id,
            "category_id": CLASSES.index(name) + 1,
            "bbox": [x1, y1, x2 - x1 + 1, y2 - y1 + 1],
            "score": 0.9 - 0.01 * number,
        }
        for image in DATASET.images
        for number, (name, (x1, y1, x2, y2)) in enumerate(OBJECTS)
    ]


def warnings_about(path: Path, entries: list[Entry]) -> list[str]:
    path.write_text(json.dumps(entries))
    reporter = RecordingReporter()
    read_detections(path, DATASET, reporter)
    return [text.removeprefix(f"{path}: ") for text in reporter.warnings]


def with_bbox(change: Callable[[list[float]], list[float]]) -> list[Entry]:
    return [{**entry, "bbox": change(entry["bbox"])} for entry in right_entries()]


def corners(box: list[float]) -> list[float]:
    return [box[0], box[1], box[0] + box[2], box[1] + box[3]]


def test_a_right_file_has_no_warnings(tmp_path: Path) -> None:
    assert warnings_about(tmp_path / "found.json", right_entries()) == []
    assert warnings_about(tmp_path / "found.json", []) == []


@pytest.mark.parametrize(
    ("entries", "warning"),
    [
        (
            with_bbox(lambda box: [value / 500 for value in box]),
            "30 of 30 boxes are smaller than 2",
        ),
        (with_bbox(corners), "10 of 30 boxes end outside their image"),
        (with_bbox(lambda box: [value + 400 for value in box]), "30 of 30 boxes end outside"),
        (right_entries() * 2, "30 of 60 detections repeat another one exactly"),
        (
            [{**entry, "score": 100 * entry["score"]} for entry in right_entries()],
            "30 of 30 scores are over 1; are they in percent?",
        ),
    ],
)
def test_a_wrong_file_has_one_warning(tmp_path: Path, entries: list[Entry], warning: str) -> None:
    (found,) = warnings_about(tmp_path / "found.json", entries)
    assert found.startswith(warning)
    assert "First: entry " in found


def test_margins_of_svms_are_not_percent(tmp_path: Path) -> None:
    entries = [{**entry, "score": 10 * entry["score"] - 8.9} for entry in right_entries()]
    assert warnings_about(tmp_path / "found.json", [*entries, {**entries[0], "score": 3.0}]) == []


def test_shifted_category_numbers_are_noticed(tmp_path: Path) -> None:
    """Numbers from 0, where no class has number 0: every detection has the class before its own."""
    path = tmp_path / "found.json"
    shifted = [{**entry, "category_id": entry["category_id"] % 3 + 1} for entry in right_entries()]
    path.write_text(json.dumps(shifted))
    (found,) = class_findings(path, evaluate(DATASET, read_detections(path, DATASET)).errors)
    assert "category numbers" in str(found)
    path.write_text(json.dumps(right_entries()))
    assert class_findings(path, evaluate(DATASET, read_detections(path, DATASET)).errors) == []
