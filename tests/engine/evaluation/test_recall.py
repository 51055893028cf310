"""Recall of proposals, compared with overlaps computed by hand and with a plain loop."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from frcnn_cli.engine.datasets.find import find_dataset
from frcnn_cli.engine.evaluation.recall import COUNTS, best_iou_by_count, evaluate_recall
from frcnn_cli.engine.evaluation.recall_figures import recall_plot
from frcnn_cli.engine.records import Dataset, GroundTruth, ImageRecord
from frcnn_proposals.base import Proposals
from frcnn_proposals.formats import read_proposals

# An object of 10 x 10 pixels, and proposals with IoU 50 / 150, 100 / 200 and 70 / 100 with it.
THIRD = (0, 5, 9, 14)
HALF = (0, 0, 9, 19)
SEVEN_TENTHS = (0, 0, 9, 6)
OBJECT = (0, 0, 9, 9)
FAR = (500, 500, 509, 509)


def record(image_id: str, *objects: tuple[tuple[int, ...], int, bool], crowd=()) -> ImageRecord:
    boxes = np.array([box for box, _, _ in objects], np.float32).reshape(-1, 4)
    labels = np.array([label for _, label, _ in objects], np.int64)
    difficult = np.array([hard for _, _, hard in objects], bool)
    truth = GroundTruth(boxes, labels, difficult, np.array(crowd or [False] * len(objects), bool))
    return ImageRecord(image_id, Path(image_id), truth=truth)


def dataset(*images: ImageRecord) -> Dataset:
    return Dataset("hand", "test", ("cat", "dog", "cow"), images)


def proposals_of(*boxes: tuple[int, ...]) -> Proposals:
    return Proposals(np.array(boxes).reshape(-1, 4))


def test_case_computed_by_hand():
    """Best overlaps: cats 0.7 and 1/3, a difficult dog 1.0, a dog 0 (no proposals at all)."""
    data = dataset(
        record("a", (OBJECT, 1, False), (FAR, 2, True)),
        record("b", (OBJECT, 1, False)),
        record("c", (OBJECT, 2, False)),
        record("d"),
    )
    proposals = {
        "a": proposals_of(THIRD, FAR, SEVEN_TENTHS),
        "b": proposals_of(THIRD),
        "c": proposals_of(),
        "d": proposals_of(HALF, FAR),
    }
    report = evaluate_recall(data, proposals)
    assert (report.images, report.boxes) == (4, 1.5)
    cats = (0.7 + 1 / 3) / 2
    everything, easy = report.all_objects, report.not_difficult
    assert everything.mabo == pytest.approx((cats + 0.5) / 2)
    assert easy.mabo == pytest.approx((cats + 0) / 2)
    assert list(everything.by_class) == ["cat", "dog"]
    assert everything.by_class["cat"].best_overlap == pytest.approx(cats)
    assert (everything.overall.objects, easy.overall.objects) == (4, 3)
    assert everything.overall.recall_50 == 2 / 4
    assert everything.overall.recall_70 == 2 / 4  # 7 / 10 reaches 0.7
    assert easy.overall.recall_50 == 1 / 3
    # 2 (0.2 + 0.5) / 4, and 2 (0.2) / 3.
    assert everything.overall.average_recall == pytest.approx(0.35)
    assert easy.overall.average_recall == pytest.approx(0.4 / 3)
    recalls = dict(everything.recall)
    assert [recalls[t] for t in (0.5, 0.7, 0.75, 1.0)] == [0.5, 0.5, 0.25, 0.25]


def test_by_number_of_boxes():
    data = dataset(record("a", (OBJECT, 1, False)))
    report = evaluate_recall(data, {"a": proposals_of(THIRD, SEVEN_TENTHS, HALF)})
    by_count = {count: mabo for count, mabo, _ in report.all_objects.by_count}
    assert by_count == pytest.approx({1: 1 / 3, 2: 0.7, 3: 0.7})
    assert evaluate_recall(
        data, {"a": proposals_of(THIRD, HALF)}, max_boxes=1
    ).all_objects.mabo == (pytest.approx(1 / 3))


def test_crowds_do_not_count():
    data = dataset(record("a", (OBJECT, 1, False), (FAR, 1, False), crowd=(False, True)))
    report = evaluate_recall(data, {"a": proposals_of(OBJECT)})
    assert (report.all_objects.overall.objects, report.all_objects.mabo) == (1, 1.0)


def test_no_objects():
    report = evaluate_recall(dataset(), {})
    assert (report.images, report.all_objects.mabo, report.all_objects.overall.objects) == (0, 0, 0)
    assert evaluate_recall(dataset(record("a")), {"a": proposals_of()}).all_objects.mabo == 0


def test_images_without_annotation_do_not_count():
    data = dataset(ImageRecord("a", Path("a")), record("b", (OBJECT, 1, False)))
    assert evaluate_recall(data, {"b": proposals_of(OBJECT)}).images == 1


def test_best_ious_equal_those_of_a_plain_loop():
    rng = np.random.default_rng(0)

    def random_boxes(count):
        low = rng.integers(0, 60, (count, 2))
        return np.concatenate((low, low + rng.integers(0, 40, (count, 2))), axis=1)

    def iou(a, b):
        width = min(a[2], b[2]) - max(a[0], b[0]) + 1
        height = min(a[3], b[3]) - max(a[1], b[1]) + 1
        shared = max(width, 0) * max(height, 0)
        own = [(box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (a, b)]
        return shared / (sum(own) - shared)

    objects, boxes = random_boxes(8), random_boxes(150)
    found = best_iou_by_count(objects.astype(np.float32), boxes.astype(np.float32))
    for row, truth in zip(found, objects, strict=True):
        for column, count in enumerate((*COUNTS, 150)):
            assert row[column] == max(iou(truth, box) for box in boxes[:count])


@pytest.mark.parametrize("name", ["cat", r"$\undefined{$"])
def test_the_plot_is_a_png(name):
    pytest.importorskip("matplotlib")
    data = dataset(record("a", (OBJECT, 1, False), (FAR, 2, True)))
    data = replace(data, classes=(name, *data.classes[1:]))
    content = recall_plot(evaluate_recall(data, {"a": proposals_of(THIRD, OBJECT)}), "title")
    assert content.startswith(b"\x89PNG")


@pytest.mark.long
def test_the_boxes_of_the_demo_cover_its_objects(shared_data):
    """The two real files of the Fast R-CNN demo, on their own images."""
    folder = shared_data / "fast-rcnn-demo"
    data = find_dataset("voc2007", "trainval", shared_data / "voc2007-subset")
    known = tuple(image for image in data.images if (folder / f"{image.image_id}.jpg").exists())
    report = evaluate_recall(replace(data, images=known), read_proposals(folder))
    assert report.images > 0
    assert report.not_difficult.mabo > 0.7
