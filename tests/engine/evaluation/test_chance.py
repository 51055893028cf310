"""Proposals that cover the objects less well than random boxes are reported, and no others."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from called import frcnn as command
from reporters import RecordingReporter

import frcnn
from frcnn_cli.engine.evaluation.chance import random_boxes, warn_of_low_recall
from frcnn_cli.engine.records import Dataset, GroundTruth, ImageRecord
from frcnn_proposals.base import Proposals
from frcnn_proposals.formats import write_proposals

WIDTH, HEIGHT = 200, 100
IDS = [str(number) for number in range(40)]


def objects_of(image_id: str) -> np.ndarray:
    """Two objects, wider than high, in the left or in the right half by chance."""
    rng = np.random.default_rng(int(image_id))
    corners = rng.uniform([0, 0], [130, 60], (2, 2))
    return np.concatenate([corners, corners + rng.uniform([40, 15], [69, 39], (2, 2))], 1)


def dataset(ids: list[str] = IDS, size: tuple[int, int] | None = (WIDTH, HEIGHT)) -> Dataset:
    no = np.zeros(2, bool)
    truth = {i: GroundTruth(objects_of(i).astype("f4"), np.ones(2, int), no, no) for i in ids}
    width, height = size or (None, None)
    images = (ImageRecord(i, Path(f"{i}.jpg"), width, height, truth[i]) for i in ids)
    return Dataset("made", "train", ("cat",), tuple(images))


def near_objects(image_id: str) -> np.ndarray:
    """The objects, moved a little, and 100 boxes elsewhere that cover nothing."""
    rng = np.random.default_rng(int(image_id))
    near = objects_of(image_id) + rng.uniform(-3, 3, (2, 4))
    far = np.tile([0.0, 0.0, 4.0, 4.0], (100, 1))
    return np.concatenate([near, far]).clip(0, [WIDTH - 1, HEIGHT - 1] * 2)


Boxes = Callable[[str], np.ndarray]
RIGHT: dict[str, Boxes] = {
    "near the objects": near_objects,
    "counted from 1": lambda i: near_objects(i) + 1,
    "random": lambda i: random_boxes(f"other {i}", 300, (WIDTH, HEIGHT)),
}
WRONG: dict[str, Boxes] = {
    "other images": lambda i: near_objects(str((int(i) + 7) % len(IDS))),
    "y before x": lambda i: near_objects(i)[:, [1, 0, 3, 2]].clip(0, HEIGHT - 1),
    "shares of the image": lambda i: near_objects(i) / [WIDTH, HEIGHT, WIDTH, HEIGHT],
    "half the size": lambda i: near_objects(i) / 2,
    "20 of 102 random": lambda i: np.concatenate(
        [random_boxes(f"other {i}", 20, (WIDTH, HEIGHT)), near_objects(i)[-82:]]
    ),
}


def warnings(data: Dataset, boxes: Boxes) -> list[str]:
    reporter = RecordingReporter()
    proposals = {record.image_id: Proposals(boxes(record.image_id)) for record in data.images}
    warn_of_low_recall(data, proposals, "boxes.mat", reporter)
    return reporter.warnings


@pytest.mark.parametrize("name", RIGHT)
def test_right_boxes_are_not_reported(name: str) -> None:
    assert warnings(dataset(), RIGHT[name]) == []


@pytest.mark.parametrize("name", WRONG)
def test_wrong_boxes_are_reported(name: str) -> None:
    (text,) = warnings(dataset(), WRONG[name])
    assert text.startswith("boxes.mat: the average recall (Hosang) of its boxes is 0.")
    assert "40 images, 102 boxes per image" in text


def test_few_objects_or_few_boxes_prove_nothing() -> None:
    assert warnings(dataset(IDS[:14]), WRONG["half the size"]) == []
    assert warnings(dataset(IDS[:15]), WRONG["half the size"])
    assert warnings(dataset(), lambda i: WRONG["half the size"](i)[:1]) == []
    assert warnings(dataset(), lambda _: np.zeros((0, 4))) == []


def test_images_without_size_or_objects_are_skipped() -> None:
    assert warnings(dataset(size=None), WRONG["half the size"]) == []  # there are no files


@pytest.fixture
def swapped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mapping[str, Proposals]:
    """A dataset in the current folder, and its proposals with x and y exchanged."""
    monkeypatch.chdir(tmp_path)
    frcnn.generate_dataset("shapes", 40, size=(128, 96))
    frcnn.propose("shapes", "good.proposals", source="dense", workers=0)
    good = frcnn.read_proposals("good.proposals")
    bad = {i: Proposals((p.boxes[:, [1, 0, 3, 2]] / 2).clip(0, 95)) for i, p in good.items()}
    write_proposals(Path("bad.proposals"), bad, "store")
    return bad


def test_recall_and_training_report_a_file_beforehand(swapped: object) -> None:
    small = ("--iterations", 1, "--scale", 64, "--weights", "none", "--workers", 0)
    for words in (("proposals", "recall"), ("train",)):
        for name, is_reported in (("good", False), ("bad", True)):
            file = f"{name}.proposals"
            if words == ("train",):
                given = ("train", "shapes", "--proposals", file, *small, "--out", f"runs/{name}")
            else:
                given = (*words, file, "--dataset", "shapes", "--split", "trainval")
            result = command(*given)
            assert result.exit_code == 0, result.output
            assert (f"{file}: the average recall (Hosang)" in result.output) == is_reported
            if words == ("train",) and is_reported:
                assert result.output.index("random boxes") < result.output.index("Training")
    read = ("--source", "precomputed", "--param", "file=bad.proposals")
    result = command("train", "shapes", *read, *small, "--out", "runs/read")
    assert "precomputed: the average recall (Hosang)" in result.output
