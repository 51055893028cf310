"""Sampling of RoIs: counts and limits of the paper's section 2.3."""

import tracemalloc

import numpy as np
import pytest

from frcnn_cli.engine import boxes as boxes_module
from frcnn_cli.engine.boxes import iou_matrix
from frcnn_cli.engine.records import GroundTruth
from frcnn_cli.engine.settings import Sampling
from frcnn_cli.engine.training.box_statistics import target_statistics
from frcnn_cli.engine.training.sampling import (
    Quota,
    foreground_candidates,
    match_candidates,
    sample_rois,
)

OBJECT = np.array([[50, 50, 149, 149]], np.float32)
TRUTH = GroundTruth(OBJECT, np.array([3]), np.array([False]))


def shifted(*shifts: float) -> np.ndarray:
    """The object moved right; its IoU falls as (100 - s) / (100 + s)."""
    return np.concatenate([OBJECT + np.array([s, 0, s, 0], np.float32) for s in shifts])


def draw(proposals: np.ndarray, truth: GroundTruth = TRUTH, **settings: object):
    sampling = Sampling(**settings)  # type: ignore[arg-type]
    candidates = match_candidates(proposals, truth, sampling.foreground_iou)
    return sample_rois(candidates, Quota(64, 16), sampling, np.random.default_rng(0))


def test_a_quarter_is_foreground_and_the_rest_background() -> None:
    near, far = shifted(*np.linspace(1, 30, 50)), shifted(*np.linspace(40, 80, 100))
    sample = draw(np.concatenate([near, far]))
    assert len(sample.labels) == 64
    assert (sample.labels == 3).sum() == 16
    assert (sample.labels == 0).sum() == 48
    overlap = iou_matrix(sample.boxes, OBJECT)[:, 0]
    assert (overlap[sample.labels == 3] >= 0.5).all()
    assert ((overlap[sample.labels == 0] >= 0.1) & (overlap[sample.labels == 0] < 0.5)).all()


def test_the_object_itself_is_a_candidate_with_zero_offsets() -> None:
    sample = draw(np.zeros((0, 4), np.float32))
    assert sample.boxes.tolist() == OBJECT.tolist()
    assert sample.labels.tolist() == [3]
    assert sample.targets.tolist() == [[0, 0, 0, 0]]


def test_lower_bounds_of_iou_are_inclusive() -> None:
    # Shift s gives IoU (100 - s) / (100 + s): 1/2 and, for 9/11 of the width, 1/10.
    half = np.array([[50, 50, 149, 249]], np.float32)  # the object covers half of it
    tenth = np.array([[50, 50, 1049, 149]], np.float32)
    under = np.array([[50, 50, 1059, 149]], np.float32)
    sample = draw(np.concatenate([half, tenth, under]))
    labels = {
        tuple(box): label for box, label in zip(sample.boxes.tolist(), sample.labels, strict=True)
    }
    assert labels[tuple(half[0].tolist())] == 3
    assert labels[tuple(tenth[0].tolist())] == 0
    assert tuple(under[0].tolist()) not in labels


def test_missing_foreground_is_replaced_by_background() -> None:
    sample = draw(shifted(*np.linspace(40, 80, 100)))
    assert (sample.labels == 3).sum() == 1
    assert (sample.labels == 0).sum() == 63


def test_an_image_without_objects_has_only_background() -> None:
    sample = draw(shifted(*np.linspace(0, 80, 100)), GroundTruth())
    assert len(sample.labels) == 64
    assert (sample.labels == 0).all()


def test_rois_on_a_difficult_object_are_neither_foreground_nor_background() -> None:
    truth = GroundTruth(OBJECT, np.array([3]), np.array([True]))
    sample = draw(shifted(1, 2, 3, 60), truth)
    assert sample.boxes.tolist() == shifted(60).tolist()
    assert sample.labels.tolist() == [0]


def test_each_roi_learns_the_object_it_overlaps_most() -> None:
    boxes = np.array([[0, 0, 99, 99], [200, 0, 299, 99]], np.float32)
    truth = GroundTruth(boxes, np.array([1, 2]), np.zeros(2, bool))
    sample = draw(np.array([[210, 0, 309, 99]], np.float32), truth)
    row = sample.boxes.tolist().index([210, 0, 309, 99])
    assert sample.labels[row] == 2
    assert sample.targets[row].tolist() == pytest.approx([-0.1, 0, 0, 0])


def test_statistics_by_hand() -> None:
    # Class 1 has tx of -0.1, 0.1 and the object's own 0; class 2 has only the object.
    truth = GroundTruth(
        np.array([[100, 0, 199, 99], [500, 0, 599, 99]], np.float32),
        np.array([1, 2]),
        np.zeros(2, bool),
    )
    proposals = np.array([[90, 0, 189, 99], [110, 0, 209, 99]], np.float32)
    candidates = match_candidates(proposals, truth, 0.5)
    means, deviations = target_statistics([candidates], classes=2, foreground_iou=0.5)
    assert means[0].tolist() == pytest.approx([0, 0, 0, 0], abs=1e-7)
    assert deviations[0].tolist() == pytest.approx([np.sqrt(0.02 / 3), 1, 1, 1], abs=1e-6)
    # A class seen once takes the statistics of all: offsets 0, 0.1, -0.1, 0.
    assert deviations[1, 0] == pytest.approx(np.sqrt(0.02 / 4), abs=1e-6)


@pytest.mark.parametrize("elements", [1 << 18, 700])
@pytest.mark.parametrize("objects", [0, 1, 12])
def test_the_foreground_alone_is_that_of_all_candidates(
    monkeypatch: pytest.MonkeyPatch, objects: int, elements: int
) -> None:
    """To the bit, with equal overlaps, ignored objects, and several blocks of boxes."""
    monkeypatch.setattr(boxes_module, "_ELEMENTS_AT_ONCE", elements)
    rng = np.random.default_rng(objects)
    corners = rng.integers(0, 60, (500, 2))
    boxes = np.hstack([corners, corners + rng.integers(9, 40, (500, 2))]).astype(np.float32)
    given = np.concatenate([boxes[: objects // 2], boxes[: objects - objects // 2]])
    truth = GroundTruth(
        given, rng.integers(1, 4, objects), rng.random(objects) < 0.2, rng.random(objects) < 0.2
    )
    half = given.copy()  # an IoU of exactly 0.5 with the object
    half[:, 3] += half[:, 3] - half[:, 1] + 1
    boxes = np.concatenate([boxes, half])
    trained = ~(truth.difficult | truth.crowd)
    every = match_candidates(boxes, truth, 0.5)
    rows = np.flatnonzero((every.iou >= 0.5) & (every.labels > 0))
    found = foreground_candidates(boxes, truth.boxes[trained], truth.labels[trained], 0.5)
    for name in ("boxes", "labels", "matched", "iou", "ignored"):
        own, expected = getattr(found, name), getattr(every, name)[rows]
        assert (own.dtype, own.tobytes()) == (expected.dtype, expected.tobytes()), name
    assert objects == 0 or (len(rows) > objects and (every.iou == 0.5).any())


def test_the_same_seed_draws_the_same_rois() -> None:
    proposals = shifted(*np.linspace(0, 80, 200))
    assert np.array_equal(draw(proposals).boxes, draw(proposals).boxes)


def test_memory_of_matching_is_linear_in_the_objects() -> None:
    rng = np.random.default_rng(0)

    def peak(objects: int) -> int:
        corners = rng.uniform(0, 4000, (objects + 2000, 2))
        boxes = np.hstack([corners, corners + 30]).astype(np.float32)
        flags = rng.uniform(size=objects) < 0.2
        truth = GroundTruth(boxes[:objects], np.ones(objects, np.int64), flags)
        tracemalloc.start()
        match_candidates(boxes[objects:], truth, 0.5)
        used = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return used

    few, many = peak(1000), peak(5000)
    assert many + (many - few) / 4000 * 15_000 < 50e6  # bytes with 20,000 objects
