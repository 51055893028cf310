"""Detections are matched to objects in blocks: the results do not change, and memory stays flat."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from builders import random_case

from frcnn_cli.engine.evaluation import matching
from frcnn_cli.engine.evaluation.errors import diagnose
from frcnn_cli.engine.evaluation.matching import most_overlapped
from frcnn_cli.engine.evaluation.tables import (
    DetectionTable,
    TruthTable,
    detection_table,
    truth_table,
)
from frcnn_cli.engine.records import Dataset, Detections, GroundTruth, ImageRecord


@pytest.mark.parametrize("among", ["same class", "other classes"])
@pytest.mark.parametrize("size", [1, 7, 64])
def test_the_size_of_blocks_changes_nothing(
    size: int, among: matching.Candidates, monkeypatch: pytest.MonkeyPatch
) -> None:
    for seed in range(5):
        dataset, found = random_case(np.random.default_rng(seed))
        tables = detection_table(dataset, found), truth_table(dataset)
        expected = most_overlapped(*tables, among)
        with monkeypatch.context() as patch:
            patch.setattr(matching, "_PAIRS_AT_ONCE", size)
            blocks = most_overlapped(*tables, among)
        assert np.array_equal(blocks.object, expected.object)
        assert np.array_equal(blocks.iou, expected.iou)


def test_memory_does_not_grow_with_the_number_of_pairs() -> None:
    rng = np.random.default_rng(0)
    corners = rng.integers(0, 300, (20_000, 2))
    boxes = np.hstack([corners, corners + 20]).astype(np.float32)
    labels = np.ones(len(boxes), np.int64)
    truth = GroundTruth(boxes, labels, np.zeros(len(boxes), bool))
    dataset = Dataset("d", "test", ("ant",), (ImageRecord("a", Path("a"), 400, 400, truth),))
    scores = rng.random(1000).astype(np.float32)
    found = {"a": Detections(boxes[:1000], scores, labels[:1000])}
    tables = detection_table(dataset, found), truth_table(dataset)
    tracemalloc.start()
    result = most_overlapped(*tables)  # 20 million pairs: 160 MB per array
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 150e6
    assert (result.iou == 1).all()


_COLUMNS = ("boxes", "score", "image", "label")


def random_tables(detections: int) -> tuple[TruthTable, DetectionTable]:
    """100 detections and two objects in each image, of 20 classes."""
    rng = np.random.default_rng(0)

    def columns(count: int, each: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        corners = rng.integers(0, 300, (count, 2)).astype(np.float64)
        image = np.arange(count, dtype=np.int64) // each
        return np.hstack([corners, corners + 100]), image, rng.integers(1, 21, count)

    boxes, image, label = columns(detections, 100)
    score = np.linspace(1, 0, detections)
    objects = columns(detections // 50, 2)
    return (
        TruthTable(*objects, np.zeros(detections // 50, bool)),
        DetectionTable(boxes, score, rng.permutation(image), label),
    )


def test_memory_of_the_error_analysis_per_detection() -> None:
    def peak(detections: int) -> int:
        tables = random_tables(detections)
        tracemalloc.start()
        diagnose(*tables)
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used + sum(getattr(tables[1], name).nbytes for name in _COLUMNS)

    slope = (peak(1_000_000) - peak(500_000)) / 500_000
    assert slope < 110  # bytes, of which 56 in the table: 0.6 GB for 5 million detections
