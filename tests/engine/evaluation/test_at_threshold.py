"""Precision, recall and confusions at a threshold, on cases worked out by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from made_up_report import made_up_dataset, made_up_detections

from frcnn_cli.engine.evaluation.at_threshold import AtThreshold, evaluate_at_threshold
from frcnn_cli.engine.evaluation.tables import detection_table, truth_table
from frcnn_cli.engine.records import Dataset, Detections, GroundTruth, ImageRecord

CLASSES = ("cat", "dog")
HERE, THERE, ELSEWHERE = (0, 0, 9, 9), (30, 0, 39, 9), (60, 60, 79, 79)
CAT, DOG = 1, 2


def at(
    threshold: float,
    objects: list[tuple[tuple[int, ...], int]],
    found: list[tuple[tuple[int, ...], int, float]],
    difficult: tuple[int, ...] = (),
) -> AtThreshold:
    boxes = np.array([box for box, _ in objects], np.float32).reshape(-1, 4)
    labels = np.array([label for _, label in objects], np.int64)
    hard = np.isin(np.arange(len(objects)), difficult)
    record = ImageRecord("a", Path("a.jpg"), 100, 100, GroundTruth(boxes, labels, hard))
    dataset = Dataset("pets", "test", CLASSES, (record,))
    detections = Detections(
        np.array([box for box, _, _ in found], np.float32).reshape(-1, 4),
        np.array([score for _, _, score in found], np.float32),
        np.array([label for _, label, _ in found], np.int64),
    )
    table = detection_table(dataset, {"a": detections})
    return evaluate_at_threshold(CLASSES, truth_table(dataset), table, threshold)


def test_detections_below_the_threshold_do_not_count() -> None:
    result = at(0.5, [(HERE, CAT)], [(HERE, CAT, 0.9), (ELSEWHERE, CAT, 0.4)])
    assert result.per_class[0].precision == result.per_class[0].recall == 1
    assert at(0.4, [(HERE, CAT)], [(HERE, CAT, 0.9), (ELSEWHERE, CAT, 0.4)]).total.precision == 0.5
    none = at(0.95, [(HERE, CAT)], [(HERE, CAT, 0.9)])
    assert (none.total.precision, none.total.recall) == (None, 0)
    assert none.per_class[1].recall is None


def test_each_outcome_has_its_place_in_the_matrix() -> None:
    objects = [(HERE, CAT), (THERE, DOG), ((0, 50, 9, 59), DOG)]
    found = [(HERE, CAT, 0.9), (THERE, CAT, 0.8), (ELSEWHERE, DOG, 0.7)]
    result = at(0.5, objects, found)
    # Rows: cat, dog, no object. Columns: cat, dog, no detection.
    assert result.confusion.tolist() == [[1, 0, 0], [1, 0, 1], [0, 1, 0]]


def test_an_object_is_confused_once() -> None:
    """The better of two wrong detections takes the object; the other has none."""
    result = at(0.5, [(HERE, DOG)], [(HERE, CAT, 0.9), (HERE, CAT, 0.8)])
    assert result.confusion.tolist() == [[0, 0, 0], [1, 0, 0], [1, 0, 0]]


def test_a_found_object_is_not_confused() -> None:
    result = at(0.5, [(HERE, DOG)], [(HERE, CAT, 0.9), (HERE, DOG, 0.6)])
    assert result.confusion.tolist() == [[0, 0, 0], [0, 1, 0], [1, 0, 0]]


def test_difficult_objects_do_not_count() -> None:
    result = at(0.5, [(HERE, CAT), (THERE, CAT)], [(HERE, CAT, 0.9)], difficult=(0, 1))
    assert (result.total.objects, result.total.detections) == (0, 0)
    assert result.confusion.sum() == 0


@pytest.mark.parametrize("threshold", [0.0, 0.5, 0.9])
def test_the_matrix_adds_up(tmp_path: Path, threshold: float) -> None:
    """Rows add up to the objects of a class, columns to its detections."""
    dataset = made_up_dataset(tmp_path)
    table = detection_table(dataset, made_up_detections(dataset, 0))
    result = evaluate_at_threshold(dataset.classes, truth_table(dataset), table, threshold)
    rows, columns = result.confusion.sum(axis=1)[:-1], result.confusion.sum(axis=0)[:-1]
    assert rows.tolist() == [item.objects for item in result.per_class]
    assert columns.tolist() == [item.detections for item in result.per_class]
    assert result.confusion.diagonal()[:-1].tolist() == [item.right for item in result.per_class]
