"""Values of another type or shape are errors of frcnn that state what is expected."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import frcnn

BOXES = np.array([[0, 0, 9, 9], [1, 1, 5, 5]], np.float32)
SCORES = np.array([0.9, 0.5], np.float32)
LABELS = np.array([1, 2])
FOUND = frcnn.Detections(BOXES, SCORES, LABELS, ("cat", "dog"))
PIXELS = np.zeros((20, 30, 3), np.uint8)


def rejected(call: Callable[[], object], message: str) -> frcnn.MisuseError:
    with pytest.raises(frcnn.MisuseError, match=message) as caught:
        call()
    assert str(caught.value).count("\n") == 0
    return caught.value


@pytest.mark.parametrize(
    ("method", "value", "message"),
    [
        ("above", "0.5", "threshold must be a number, not '0.5'"),
        ("above", None, "threshold must be a number"),
        ("above", SCORES, "threshold must be a number"),
        ("with_labels", 1, "labels must be a list, not 1"),
        ("with_labels", "cat", "labels must be a list, not 'cat'"),
        ("with_labels", ["cat"], "must be an integer, not 'cat'"),
        ("with_labels", iter(["cat"]), "must be a list of integers, not ['cat']"),
        ("take", [0.5], "integers below 2, or a mask of 2 values"),
        ("take", [2], "integers below 2, or a mask of 2 values"),
        ("take", [True], "integers below 2, or a mask of 2 values"),
        ("take", [[0, 1]], "integers below 2, or a mask of 2 values"),
        ("take", "cat", "integers below 2, or a mask of 2 values"),
        ("draw", 5, None),
        ("to_coco", 0.5, "image_id must be a string or an integer or None"),
    ],
)
def test_methods_of_detections(method: str, value: Any, message: str | None) -> None:
    if message is None:
        with pytest.raises(frcnn.MisuseError, match="not int"):
            getattr(FOUND, method)(value)
        return
    error = rejected(lambda: getattr(FOUND, method)(value), message.replace("[", r"\["))
    assert isinstance(error, IndexError) == (method == "take")


def test_what_methods_of_detections_take() -> None:
    assert FOUND.above(np.float32(0.6)) == FOUND.above(0.6) == FOUND.take([0])
    for labels in ({2}, [2], (2,), np.array([2]), iter([2])):
        assert FOUND.with_labels(labels) == FOUND.take(1)
    assert len(FOUND.with_labels([])) == 0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((BOXES.tolist(), SCORES, LABELS), r"boxes must be an array of shape \(N, 4\), not list"),
        ((BOXES[0], SCORES, LABELS), r"boxes have shape \(4,\), expected \(N, 4\)"),
        ((BOXES, SCORES[:1], LABELS), r"array scores has shape \(1,\), expected \(2,\)"),
        ((BOXES, SCORES, [1, 2]), r"labels must be an array of shape \(2,\), not list"),
        ((BOXES, SCORES, LABELS - 1), "labels must be integers of at least 1,"),
        ((BOXES, SCORES, LABELS * 1.0), "labels must be integers of at least 1,"),
        ((BOXES, SCORES, LABELS, ("cat",)), "labels must be integers from 1 to 1,"),
    ],
)
def test_detections(values: tuple[Any, ...], message: str) -> None:
    rejected(lambda: frcnn.Detections(*values), message)


def test_detections_without_class_names() -> None:
    found = frcnn.Detections(BOXES, SCORES, LABELS)
    assert found.names == ["1", "2"]
    assert repr(found) == "<2 detections: 1 0.90, 2 0.50>"
    assert [entry["category"] for entry in found.to_coco("a")] == ["1", "2"]
    assert found.draw(PIXELS).size == (30, 20)


def test_large_labels_without_class_names() -> None:
    """No list of all labels fits into memory."""
    found = frcnn.Detections(BOXES, SCORES, np.array([1, 10**15]))
    assert found.names == ["1", str(10**15)]
    assert [entry["category"] for entry in found.to_coco("a")] == found.names
    assert found.draw(PIXELS).size == (30, 20)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (([[1, 2]],), r"boxes have shape \(1, 2\), expected \(N, 4\)"),
        (("text",), "boxes are not an array of numbers"),
        (([[1, 2, 3, 4], [1]],), "boxes are not an array of numbers"),
        (([{}],), "boxes are not an array of numbers"),
        ((BOXES, [1]), r"scores have shape \(1,\), expected \(2,\)"),
        ((BOXES, ["a", "b"]), "scores are not an array of numbers"),
    ],
)
def test_proposals(values: tuple[Any, ...], message: str) -> None:
    error = rejected(lambda: frcnn.Proposals(*values), message)
    assert isinstance(error, ValueError)


@pytest.mark.parametrize("count", ["3", -1, 1.5])
def test_a_number_of_best_proposals(count: Any) -> None:
    rejected(lambda: frcnn.Proposals(BOXES).top(count), "expected a number of boxes or None")


def test_ground_truth() -> None:
    rejected(lambda: frcnn.GroundTruth(BOXES), r"array labels has shape \(0,\), expected \(2,\)")
    rejected(lambda: frcnn.GroundTruth([[1, 2, 3, 4]]), "not list")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: frcnn.train("x", variants=[1]), "an item of variants must be a string, not 1"),
        (lambda: frcnn.train("x", settings={1: 2}), "a key of settings must be a string, not 1"),
        (lambda: frcnn.train("x", sampling=SCORES), "sampling must be one of hierarchical, roi"),
        (lambda: frcnn.train("x", precision="half"), "precision must be one of auto, float32"),
        (lambda: frcnn.compress("x", svd_rank={"fc6": "9"}), "a value of svd_rank must be an int"),
        (lambda: frcnn.compress("x", energy=0.9, runs_root="a\0b"), "must not contain a NUL"),
        (lambda: frcnn.evaluate("x", scales=["480"]), "an item of scales must be an integer"),
        (lambda: frcnn.Detector.load("x", classes=[1]), "an item of classes must be a string"),
        (lambda: frcnn.propose([3]), "an item of images must be a string or a path, not 3"),
        (lambda: frcnn.propose([""]), "an item of images is empty"),
        (lambda: frcnn.propose([]), "No images are given"),
        (lambda: frcnn.propose("x", parameters={1: 2}), "a key of parameters must be a string"),
        (lambda: frcnn.read_proposals("x", image_ids=[1]), "an item of image_ids must be a string"),
        (lambda: frcnn.generate_dataset("x", size=320), "size must be a pair of integers, not 320"),
        (lambda: frcnn.generate_dataset("x", size=(320,)), "size must be a pair of integers"),
        (lambda: frcnn.generate_dataset("x", size="big"), "size must be a pair of integers"),
        (lambda: frcnn.Detector(3), "path must be a path, not 3"),
        (lambda: frcnn.Proposer("dense")({"id": 3, "path": ["a"]}), "id of a batch must be a list"),
    ],
)
def test_functions(
    call: Callable[[], object], message: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    rejected(call, message)
    assert list(tmp_path.iterdir()) == []


def test_functions_with_a_detector(at_home: Path) -> None:
    detector = frcnn.Detector.load("runs/small")
    rejected(lambda: detector.detect([PIXELS], 5), "Proposals of several images must be a list or")
    rejected(lambda: detector({"id": ["a"], "image": [PIXELS], "boxes": 3}), "column boxes of a")
    rejected(
        lambda: frcnn.evaluate_detections({"000003": [1]}, "shapes"),
        "value of image id '000003' must be Detections, not list",
    )
