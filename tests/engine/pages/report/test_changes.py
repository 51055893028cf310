"""Differences between two detectors, worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from frcnn_cli.engine.evaluation.tables import truth_table
from frcnn_cli.engine.pages.report.changes import ImageChange, compare_images
from frcnn_cli.engine.pages.report.records import Report
from frcnn_cli.engine.pages.report.subjects import subject_of_file
from frcnn_cli.engine.records import Dataset, Detections, GroundTruth, ImageRecord

FIRST, SECOND, NOTHING = [0.0, 0, 39, 39], [60.0, 0, 99, 39], [0.0, 60, 39, 99]
NEARLY_NOTHING = [4.0, 60, 43, 99]


def one_image(*detected: tuple[list[float], float]) -> dict[str, Detections]:
    boxes = np.array([box for box, _ in detected], np.float32).reshape(-1, 4)
    scores = np.array([score for _, score in detected], np.float32)
    return {"a": Detections(boxes, scores, np.ones(len(scores), np.int64))}


def compared(
    first: dict[str, Detections], second: dict[str, Detections]
) -> tuple[ImageChange, ...]:
    boxes = np.array([FIRST, SECOND], np.float32)
    truth = GroundTruth(boxes, np.ones(2, np.int64), np.zeros(2, bool))
    images = (
        ImageRecord("a", Path("a"), 100, 100, truth),
        ImageRecord("b", Path("b"), 9, 9, GroundTruth()),
    )
    dataset = Dataset("hand-made", "test", ("cat",), images)
    subjects = tuple(subject_of_file(dataset, found, Path("f")) for found in (first, second))
    report = Report(dataset, truth_table(dataset), subjects, None, {}, "")
    return compare_images(report)


def test_an_object_gained_and_one_lost() -> None:
    (change,) = compared(one_image((FIRST, 0.9)), one_image((SECOND, 0.9)))
    assert (change.image, change.found) == (0, (1, 1))
    assert (change.gained, change.lost) == ((1,), (0,))
    assert change.wrong == (0, 0)


def test_scores_below_the_threshold_do_not_count() -> None:
    (change,) = compared(one_image((FIRST, 0.9)), one_image((FIRST, 0.4)))
    assert (change.gained, change.lost) == ((), (0,))


def test_a_mistake_that_both_make_is_no_change() -> None:
    assert compared(one_image((NOTHING, 0.9)), one_image((NEARLY_NOTHING, 0.8))) == ()


def test_a_mistake_that_one_makes_is_gone_or_new() -> None:
    (change,) = compared(one_image(), one_image((FIRST, 0.9), (NOTHING, 0.8)))
    assert change.gained == (0,)
    assert (change.wrong, change.appeared, change.gone) == ((0, 1), (1,), ())
    (change,) = compared(one_image((NOTHING, 0.8)), one_image())
    assert (change.wrong, change.appeared, change.gone) == ((1, 0), (), (0,))
    assert change == replace(change, gained=(), lost=())
