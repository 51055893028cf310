"""Detections are matched to objects in blocks: the results do not change, and memory stays flat."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from builders import random_case

from frcnn_cli.engine.evaluation import matching
from frcnn_cli.engine.evaluation.matching import most_overlapped
from frcnn_cli.engine.evaluation.tables import detection_table, truth_table
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
