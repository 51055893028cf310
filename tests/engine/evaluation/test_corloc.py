"""CorLoc on cases worked out by hand, and against a literal loop over images."""

import numpy as np
import pytest
from builders import make_dataset, make_detections, random_case

from frcnn_cli.engine.evaluation.scores import evaluate
from frcnn_proposals.errors import MisuseError

CLASSES = ["cat", "dog", "bird"]
HERE, THERE = (0, 0, 99, 99), (200, 200, 299, 299)
# IoU 5000 / 10000 = 0.5 exactly, and 4900 / 10000.
HALF_OF_HERE, UNDER_HALF = (0, 0, 99, 49), (0, 0, 99, 48)


def corloc_of(objects, found, classes=CLASSES):
    """CorLoc of images a, b, ..., given the objects and the detections of each."""
    truth = dict(zip("abcdef", objects, strict=False))
    detections = dict(zip("abcdef", found, strict=False))
    dataset = make_dataset(classes, **truth)
    return evaluate(dataset, make_detections(classes, **detections)).corloc


def counts(item):
    return item.pairs, item.right, item.without_box


def test_only_the_best_box_of_each_class_and_image_counts():
    result = corloc_of(
        [[("cat", HERE), ("dog", THERE)], [("cat", HERE)], [("cat", HERE)]],
        [
            # cat: its best box is right, a worse one not. dog: only its second box would be right.
            [("cat", 0.9, HERE), ("cat", 0.8, THERE), ("dog", 0.3, HERE), ("dog", 0.2, THERE)],
            [("cat", 0.001, HERE)],  # right with any score
            [("cat", 0.9, THERE)],
        ],
    )
    cat, dog, bird = result.per_class
    assert counts(cat) == (3, 2, 0)
    assert counts(dog) == (1, 0, 0)
    assert counts(bird) == (0, 0, 0)
    assert (cat.corloc, dog.corloc, bird.corloc) == (2 / 3, 0, None)
    assert result.corloc == (2 / 3 + 0) / 2  # the mean over classes, not over pairs
    assert counts(result.total) == (4, 2, 0)


def test_an_iou_of_exactly_one_half_is_right():
    objects = [[("cat", HERE)]]
    assert corloc_of(objects, [[("cat", 1, HALF_OF_HERE)]]).corloc == 1
    assert corloc_of(objects, [[("cat", 1, UNDER_HALF)]]).corloc == 0


def test_any_object_of_the_class_will_do_and_no_other():
    two = [("cat", HERE), ("cat", THERE), ("dog", (300, 0, 399, 99))]
    assert corloc_of([two], [[("cat", 1, THERE)]]).per_class[0].corloc == 1
    assert corloc_of([two], [[("cat", 1, (300, 0, 399, 99))]]).per_class[0].corloc == 0


def test_a_pair_without_a_box_is_wrong_and_counted():
    result = corloc_of([[("cat", HERE), ("dog", THERE)], [("cat", HERE)]], [[("dog", 1, THERE)]])
    assert [counts(item) for item in result.per_class[:2]] == [(2, 0, 2), (1, 1, 0)]
    assert result.corloc == 0.5
    assert result.to_json()["without_box"] == 2


def test_detections_of_absent_classes_do_not_count():
    result = corloc_of([[("cat", HERE)], []], [[("cat", 0.5, HERE), ("dog", 1, HERE)], []])
    assert counts(result.total) == (1, 1, 0)
    assert result.corloc == 1


@pytest.mark.parametrize("flag", ["difficult", "crowd"])
def test_ignored_objects_make_no_class_present_but_can_be_found(flag):
    only = corloc_of([[("cat", HERE, flag)]], [[("cat", 1, HERE)]])
    assert (only.total.pairs, only.corloc) == (0, None)
    beside = corloc_of([[("cat", HERE, flag), ("cat", THERE)]], [[("cat", 1, HERE)]])
    assert counts(beside.total) == (1, 1, 0)


def test_of_equal_scores_the_first_is_the_best():
    found = [("cat", 0.5, THERE), ("cat", 0.5, HERE)]
    assert corloc_of([[("cat", HERE)]], [found]).corloc == 0
    assert corloc_of([[("cat", HERE)]], [found[::-1]]).corloc == 1


def test_images_without_annotation_are_rejected():
    dataset = make_dataset(CLASSES, a=[])
    bare = dataset.images[0].__class__("a", dataset.images[0].path)
    with pytest.raises(MisuseError, match="no annotation"):
        evaluate(dataset.__class__("x", "train", dataset.classes, (bare,)), {})


@pytest.mark.parametrize("seed", range(20))
def test_equal_to_a_loop_over_images(seed):
    """Boxes count inclusive pixels; the loop shares no code with the engine."""
    dataset, found = random_case(seed)
    pairs = right = 0
    for image in dataset.images:
        truth = image.truth
        ignored = truth.difficult | truth.crowd
        for label in {int(value) for value in truth.labels[~ignored]}:
            pairs += 1
            detected = found.get(image.image_id)
            rows = [] if detected is None else np.flatnonzero(detected.labels == label)
            if len(rows) == 0:
                continue
            best = detected.boxes[max(rows, key=lambda row: detected.scores[row])]
            right += any(
                inclusive_iou(best, box) >= 0.5 for box in truth.boxes[truth.labels == label]
            )
    total = evaluate(dataset, found).corloc.total
    assert (total.pairs, total.right) == (pairs, right)


def inclusive_iou(a, b):
    width = min(a[2], b[2]) - max(a[0], b[0]) + 1
    height = min(a[3], b[3]) - max(a[1], b[1]) + 1
    both = max(0, width) * max(0, height)
    areas = [(box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (a, b)]
    return both / (sum(areas) - both)
