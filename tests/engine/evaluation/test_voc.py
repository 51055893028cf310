"""VOC average precision compared with cases computed by hand and with a literal loop."""

import math

import numpy as np
import pytest
from adversarial import CASES, CLASSES
from builders import make_dataset, make_detections, random_case
from literal_voc import literal_voc_ap

from frcnn_cli.engine.evaluation.voc import evaluate_voc
from frcnn_cli.engine.records import Dataset, Detections, ImageRecord
from frcnn_proposals.errors import MisuseError

BOX = (10, 10, 59, 59)
FAR = (200, 200, 249, 249)
ONE = ["cat"]


def score(dataset, **found):
    return evaluate_voc(dataset, make_detections(list(dataset.classes), **found)).per_class


def test_two_right_one_wrong_by_hand():
    # In order of score: right, wrong, right, of 4 objects. Precision 1, 1/2, 2/3; recall
    # 1/4, 1/4, 1/2. Area: 1/4 * 1 + 1/4 * 2/3. 11 points: 1 at 0, .1, .2; 2/3 at .3, .4, .5.
    dataset = make_dataset(ONE, a=[("cat", BOX), ("cat", FAR)], b=[("cat", BOX), ("cat", FAR)])
    found = [("cat", 0.9, BOX), ("cat", 0.8, (300, 300, 320, 320)), ("cat", 0.7, FAR)]
    (cat,) = score(dataset, a=found)
    assert cat.ap_area == pytest.approx(1 / 4 + 1 / 6, abs=1e-12)
    assert cat.ap_11point == pytest.approx((3 + 3 * 2 / 3) / 11, abs=1e-12)
    assert (cat.objects, cat.detections, cat.right, cat.wrong) == (4, 3, 2, 1)


def test_iou_of_exactly_one_half_with_inclusive_pixels_matches():
    # 10 x 10 pixels against the 10 x 5 inside it: 50 / 100. Without + 1 it is 36 / 81.
    dataset = make_dataset(ONE, a=[("cat", (0, 0, 9, 9))])
    assert score(dataset, a=[("cat", 0.9, (0, 0, 9, 4))])[0].right == 1
    assert score(dataset, a=[("cat", 0.9, (0, 0, 9, 3))])[0].wrong == 1


def test_second_detection_of_one_object_is_wrong():
    dataset = make_dataset(ONE, a=[("cat", BOX)])
    (cat,) = score(dataset, a=[("cat", 0.5, BOX), ("cat", 0.9, (10, 10, 59, 49))])
    assert (cat.right, cat.wrong) == (1, 1)
    assert cat.ap_area == 1.0  # the detection with the higher score is right


def test_detection_of_a_matched_object_does_not_match_the_next_best():
    # Both objects overlap both detections by more than half, and both prefer the first.
    dataset = make_dataset(ONE, a=[("cat", BOX), ("cat", (10, 10, 59, 79))])
    (cat,) = score(dataset, a=[("cat", 0.9, BOX), ("cat", 0.8, (10, 10, 59, 60))])
    assert (cat.right, cat.wrong) == (1, 1)


def test_difficult_objects_are_ignored():
    dataset = make_dataset(ONE, a=[("cat", BOX), ("cat", FAR, "difficult")])
    (cat,) = score(dataset, a=[("cat", 0.9, FAR), ("cat", 0.85, FAR), ("cat", 0.8, BOX)])
    assert (cat.right, cat.wrong, cat.objects, cat.ignored) == (1, 0, 1, 1)
    assert cat.ap_area == cat.ap_11point == 1.0


def test_only_difficult_objects_have_no_average():
    dataset = make_dataset(ONE, a=[("cat", BOX, "difficult")])
    (cat,) = score(dataset, a=[("cat", 0.9, BOX), ("cat", 0.8, FAR)])
    assert cat.ap_area is None
    assert cat.ap_11point is None


def test_absent_class_is_excluded_from_the_mean():
    dataset = make_dataset(["cat", "dog"], a=[("cat", BOX)])
    found = make_detections(["cat", "dog"], a=[("cat", 0.9, BOX), ("dog", 0.9, BOX)])
    result = evaluate_voc(dataset, found)
    assert result.map_area == 1.0
    assert result.to_json()["per_class"]["dog"]["ap_area"] is None


def test_no_objects_and_no_detections():
    empty = make_dataset(ONE, a=[])
    assert evaluate_voc(empty, {}).map_area is None
    assert evaluate_voc(empty, make_detections(ONE, a=[("cat", 0.5, BOX)])).map_11point is None
    missed = make_dataset(ONE, a=[("cat", BOX)])
    assert evaluate_voc(missed, {}).map_area == 0.0


def test_detections_on_images_outside_the_dataset_do_not_count():
    dataset = make_dataset(ONE, a=[("cat", BOX)])
    (cat,) = score(dataset, a=[("cat", 0.5, BOX)], elsewhere=[("cat", 0.9, BOX)])
    assert (cat.detections, cat.wrong, cat.ap_area) == (1, 0, 1.0)


def test_equal_scores_keep_the_order_of_the_dataset():
    dataset = make_dataset(ONE, a=[("cat", BOX)], b=[])
    wrong_first = make_dataset(ONE, b=[], a=[("cat", BOX)])
    found = {"a": [("cat", 0.5, BOX)], "b": [("cat", 0.5, BOX)]}
    assert score(dataset, **found)[0].ap_area == 1.0
    assert score(wrong_first, **found)[0].ap_area == 0.5


def test_recall_levels_are_those_of_the_devkit():
    # 3 of 10 objects are detected: the level 0.1 * 3 is 0.30000000000000004 and is not reached.
    objects = [("cat", (20 * n, 0, 20 * n + 9, 9)) for n in range(10)]
    found = [("cat", 1 - n / 16, box) for n, (_, box) in enumerate(objects[:3])]
    (cat,) = score(make_dataset(ONE, a=objects), a=found)
    assert cat.ap_11point == pytest.approx(3 / 11)


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.75])
def test_random_cases_agree_with_the_literal_loop(threshold):
    for seed in range(25):
        assert_agrees(*random_case(seed), threshold)


@pytest.mark.parametrize("name", CASES)
def test_adversarial_cases_agree_with_the_literal_loop(name):
    truth, found = CASES[name]
    assert_agrees(make_dataset(CLASSES, **truth), make_detections(CLASSES, **found), 0.5)


def assert_agrees(dataset, found, threshold):
    result = evaluate_voc(dataset, found, threshold)
    for label, class_result in enumerate(result.per_class, start=1):
        objects, detections = of_class(dataset, found, label)
        eleven, area = literal_voc_ap(objects, detections, threshold)
        if math.isnan(area):
            assert class_result.ap_area is None
            assert class_result.ap_11point is None
        else:
            assert class_result.ap_area == pytest.approx(area, abs=1e-9)
            assert class_result.ap_11point == pytest.approx(eleven, abs=1e-9)


def test_invalid_arguments_are_rejected():
    dataset = make_dataset(ONE, a=[("cat", BOX)])
    with pytest.raises(ValueError, match="labels"):
        evaluate_voc(dataset, make_detections(["cat", "dog"], a=[("dog", 0.5, BOX)]))
    box = np.array([BOX], np.float32)
    unscored = Detections(box, np.array([np.nan], np.float32), np.array([1]))
    with pytest.raises(ValueError, match="not a number"):
        evaluate_voc(dataset, {"a": unscored})
    unlabelled = Dataset("x", "test", ("cat",), (ImageRecord("a", dataset.images[0].path),))
    with pytest.raises(MisuseError, match="no annotation"):
        evaluate_voc(unlabelled, {})


def of_class(dataset, found, label):
    """The objects and detections of one class, in the format of the literal loop."""
    objects = [
        (image.image_id, image.truth.boxes[index].tolist(), ignored[index])
        for image in dataset.images
        for ignored in [image.truth.difficult | image.truth.crowd]
        for index in np.flatnonzero(image.truth.labels == label)
    ]
    detections = [
        (
            image.image_id,
            float(image_detections.scores[index]),
            image_detections.boxes[index].tolist(),
        )
        for image in dataset.images
        if (image_detections := found.get(image.image_id))
        for index in np.flatnonzero(image_detections.labels == label)
    ]
    return objects, detections
