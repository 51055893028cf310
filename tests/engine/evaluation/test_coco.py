"""The COCO metrics compared with pycocotools, on random and adversarial cases."""

import contextlib
import io

import numpy as np
import pytest
from adversarial import CASES, CLASSES
from builders import make_dataset, make_detections, random_case

from frcnn_cli.engine.datasets.readers.coco_records import SizedTruth
from frcnn_cli.engine.evaluation.coco import evaluate_coco
from frcnn_cli.engine.records import Dataset, ImageRecord

pycocotools = pytest.importorskip("pycocotools.cocoeval")
NAMES = (
    *("ap", "ap50", "ap75", "ap_small", "ap_medium", "ap_large"),
    *("ar_1", "ar_10", "ar_100", "ar_small", "ar_medium", "ar_large"),
)


def reference(dataset, detections):
    """pycocotools' twelve numbers and per-class AP, from independently built dictionaries."""
    from pycocotools.coco import COCO

    annotations, results = [], []
    for number, image in enumerate(dataset.images):
        truth = image.truth
        for index, (box, label) in enumerate(zip(truth.boxes, truth.labels, strict=True)):
            x1, y1, x2, y2 = (float(value) for value in box)
            width, height = x2 - x1 + 1, y2 - y1 + 1
            area = truth.area[index] if isinstance(truth, SizedTruth) else width * height
            crowd = int(truth.difficult[index] or truth.crowd[index])
            box = [x1, y1, width, height]
            annotations.append(entry(annotations, number, label, box, area, crowd))
        found = detections.get(image.image_id)
        if found is None:
            continue
        for box, score, label in zip(found.boxes, found.scores, found.labels, strict=True):
            x1, y1, x2, y2 = (float(value) for value in box)
            box = [x1, y1, x2 - x1 + 1, y2 - y1 + 1]
            results.append(entry(results, number, label, box, box[2] * box[3], 0))
            results[-1]["score"] = float(score)
    with contextlib.redirect_stdout(io.StringIO()):
        indices = []
        for content in (annotations, results):
            index = COCO()
            index.dataset = {
                "images": [{"id": number} for number in range(len(dataset))],
                "categories": [{"id": n + 1} for n in range(len(dataset.classes))],
                "annotations": content,
            }
            index.createIndex()
            indices.append(index)
        evaluator = pycocotools.COCOeval(*indices, "bbox")
        evaluator.evaluate()
        evaluator.accumulate()
        evaluator.summarize()
    precision = evaluator.eval["precision"][:, :, :, 0, -1]
    per_class = [precision[:, :, k][precision[:, :, k] > -1] for k in range(precision.shape[2])]
    return evaluator.stats, [values.mean() if values.size else None for values in per_class]


def entry(existing, image, label, box, area, crowd):
    return {
        "id": len(existing) + 1,
        "image_id": image,
        "category_id": int(label),
        "bbox": box,
        "area": area,
        "iscrowd": crowd,
    }


def assert_agrees(dataset, detections):
    result = evaluate_coco(dataset, detections)
    stats, per_class = reference(dataset, detections)
    for name, expected in zip(NAMES, stats, strict=True):
        value = getattr(result, name)
        assert (-1 if value is None else value) == pytest.approx(expected, abs=1e-6), name
    for class_result, expected in zip(result.per_class, per_class, strict=True):
        assert class_result.ap == (None if expected is None else pytest.approx(expected, abs=1e-6))
    return result


@pytest.mark.parametrize("seed", range(15))
def test_random_cases(seed):
    assert_agrees(*random_case(seed))


@pytest.mark.parametrize("name", CASES)
def test_adversarial_cases(name):
    truth, found = CASES[name]
    assert_agrees(make_dataset(CLASSES, **truth), make_detections(CLASSES, **found))


def test_a_perfect_result_and_one_computed_by_hand():
    dataset = make_dataset(["cat"], a=[("cat", (0, 0, 99, 99))])
    perfect = assert_agrees(dataset, make_detections(["cat"], a=[("cat", 0.9, (0, 0, 99, 99))]))
    assert perfect.ap == perfect.ar_1 == pytest.approx(1.0)
    assert perfect.ap_small is None
    # IoU 0.7 is reached at 0.50, 0.55, 0.60, 0.65, 0.70: five of ten thresholds.
    near = assert_agrees(dataset, make_detections(["cat"], a=[("cat", 0.9, (0, 0, 99, 69))]))
    assert near.ap == pytest.approx(0.5)
    assert (near.ap50, near.ap75) == (pytest.approx(1.0), 0.0)


def test_object_sizes_are_those_of_the_segmentation():
    plain = make_dataset(["cat"], a=[("cat", (0, 0, 99, 99))])
    truth = plain.images[0].truth
    sized = SizedTruth(truth.boxes, truth.labels, truth.difficult, truth.crowd, np.array([900.0]))
    image = ImageRecord("a", plain.images[0].path, 500, 500, sized)
    dataset = Dataset("made", "test", ("cat",), (image,))
    result = assert_agrees(dataset, make_detections(["cat"], a=[("cat", 0.9, (0, 0, 99, 99))]))
    assert result.ap_small == pytest.approx(1.0)
    assert result.ap_large is None
