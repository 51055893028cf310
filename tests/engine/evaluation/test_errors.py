"""The kinds of error, by hand and compared with a plain loop over the definitions."""

from dataclasses import replace

import numpy as np
import pytest
from builders import make_dataset, make_detections, random_case
from literal_voc import literal_iou

from frcnn_cli.engine.evaluation.errors import KINDS, analyse_errors
from frcnn_cli.engine.evaluation.tables import detection_table, truth_table
from frcnn_cli.engine.records import Detections

CLASSES = ["cat", "dog"]
BOX = (0, 0, 99, 99)
FAR = (200, 200, 299, 299)


def analyse(truth, found):
    dataset = make_dataset(CLASSES, **truth)
    detections = detection_table(dataset, make_detections(CLASSES, **found))
    return analyse_errors(dataset.classes, truth_table(dataset), detections)


def nonzero(analysis, label="cat"):
    """The counts of a class by kind, without zeros."""
    counts = analysis.to_json()["per_class"][label]
    return {kind: count for kind, count in counts.items() if count}


@pytest.mark.parametrize(
    ("box", "label", "kinds"),
    [
        (BOX, "cat", {"right": 1}),
        ((0, 0, 99, 49), "cat", {"right": 1}),  # IoU 0.5
        ((0, 0, 99, 39), "cat", {"localisation": 1}),
        ((0, 0, 99, 9), "cat", {"localisation": 1}),  # IoU 0.1
        ((0, 0, 99, 8), "cat", {"background": 1, "missed": 1}),
        (FAR, "cat", {"background": 1, "missed": 1}),
    ],
)
def test_one_detection_on_one_object_of_its_class(box, label, kinds):
    assert nonzero(analyse({"a": [("cat", BOX)]}, {"a": [(label, 0.9, box)]})) == kinds


def test_confusion_counts_for_the_detected_class_and_its_object_is_not_missed():
    analysis = analyse({"a": [("dog", BOX)]}, {"a": [("cat", 0.9, BOX)]})
    assert nonzero(analysis, "cat") == {"confusion": 1}
    assert nonzero(analysis, "dog") == {}
    assert analysis.map_area == 0.0
    assert analysis.corrected["confusion"] == 1.0
    assert analysis.gain("localisation") == 0.0


def test_both_leaves_the_object_missed():
    analysis = analyse({"a": [("dog", BOX)]}, {"a": [("cat", 0.9, (0, 0, 99, 39))]})
    assert nonzero(analysis, "cat") == {"both": 1}
    assert nonzero(analysis, "dog") == {"missed": 1}


def test_duplicates_and_the_gain_of_removing_them():
    # right, duplicate, right of two: AP 1/2 * 1 + 1/2 * 2/3; without the duplicate 1.
    found = [("cat", 0.9, BOX), ("cat", 0.8, BOX), ("cat", 0.7, FAR)]
    analysis = analyse({"a": [("cat", BOX), ("cat", FAR)]}, {"a": found})
    assert nonzero(analysis) == {"right": 2, "duplicate": 1}
    assert analysis.map_area == pytest.approx(5 / 6)
    assert analysis.corrected["duplicate"] == 1.0
    assert analysis.gain("duplicate") == pytest.approx(1 / 6)


def test_only_the_best_localisation_error_becomes_a_match():
    # The one with the higher score becomes right, the other is removed.
    found = [("cat", 0.9, (0, 0, 99, 39)), ("cat", 0.8, (0, 0, 99, 29))]
    analysis = analyse({"a": [("cat", BOX)]}, {"a": found})
    assert nonzero(analysis) == {"localisation": 2}
    assert analysis.corrected["localisation"] == 1.0


def test_localisation_error_on_a_matched_object_is_removed():
    found = [("cat", 0.9, (0, 0, 99, 39)), ("cat", 0.8, BOX)]
    analysis = analyse({"a": [("cat", BOX)]}, {"a": found})
    assert analysis.map_area == 0.5
    assert analysis.corrected["localisation"] == 1.0


def test_corrected_missed_objects_do_not_count():
    analysis = analyse({"a": [("cat", BOX), ("cat", FAR)]}, {"a": [("cat", 0.9, BOX)]})
    assert nonzero(analysis) == {"right": 1, "missed": 1}
    assert analysis.map_area == 0.5
    assert analysis.corrected["missed"] == 1.0


def test_difficult_objects_are_ignored():
    truth = {"a": [("cat", BOX, "difficult"), ("dog", FAR)]}
    analysis = analyse(truth, {"a": [("cat", 0.9, BOX), ("dog", 0.9, FAR)]})
    assert nonzero(analysis) == {}
    assert nonzero(analysis, "dog") == {"right": 1}


def test_no_objects_or_detections():
    analysis = analyse({"a": []}, {})
    assert analysis.map_area is None
    assert analysis.gain("both") is None
    assert nonzero(analyse({"a": []}, {"a": [("cat", 0.9, BOX)]})) == {"background": 1}


@pytest.mark.parametrize("seed", range(5))
def test_equal_scores_keep_their_order_in_every_corrected_map(seed):
    """The same as if they were distinct, in the order of the table: no kind sorts them again."""
    dataset, found = random_case(seed, distinct_scores=2)
    truth, table = truth_table(dataset), detection_table(dataset, found)
    assert len(np.unique(table.score)) < len(table) // 4
    distinct = replace(table, score=np.linspace(0.9, 0.1, len(table)))
    tied, untied = (analyse_errors(dataset.classes, truth, each) for each in (table, distinct))
    assert tied == untied
    by_image = {
        image.image_id: Detections(
            distinct.boxes[of_image].astype(np.float32),
            distinct.score[of_image],
            distinct.label[of_image],
        )
        for index, image in enumerate(dataset.images)
        if (of_image := distinct.image == index).any()
    }
    assert analyse_errors(dataset.classes, truth, detection_table(dataset, by_image)) == tied


@pytest.mark.parametrize("seed", range(25))
def test_random_cases_agree_with_a_plain_loop(seed):
    dataset, found = random_case(seed, distinct_scores=1000)
    analysis = analyse_errors(
        dataset.classes, truth_table(dataset), detection_table(dataset, found)
    )
    counts = literal_counts(dataset, found)
    for label, errors in enumerate(analysis.per_class, start=1):
        for kind in ("right", *KINDS):
            assert getattr(errors, kind) == counts.get((label, kind), 0), (label, kind)


def literal_counts(dataset, found):
    """Counts by (label, kind), for one image and detection at a time."""
    counts = {}
    for image in dataset.images:
        truth = image.truth
        objects = list(zip(truth.boxes.tolist(), truth.labels, truth.difficult, strict=True))
        taken, pointed = set(), set()
        detections = found.get(image.image_id)
        order = [] if detections is None else np.argsort(-detections.scores, kind="stable")
        wrong = []
        for index in order:
            box, label = detections.boxes[index].tolist(), detections.labels[index]
            ious = [literal_iou(box, other) if of == label else -1 for other, of, _ in objects]
            best = int(np.argmax(ious)) if ious else -1
            if best >= 0 and ious[best] >= 0.5 and objects[best][2]:
                continue
            if best >= 0 and ious[best] >= 0.5 and best not in taken:
                taken.add(best)
                add(counts, label, "right")
            else:
                wrong.append((box, label))
        for box, label in wrong:
            own = best_of(box, objects, lambda of, label=label: of == label)
            other = best_of(box, objects, lambda of, label=label: of != label)
            if 0.1 <= own[0] < 0.5:
                kind = "localisation"
                pointed.add(own[1])
            elif other[0] >= 0.5:
                kind = "confusion"
                pointed.add(other[1])
            elif own[0] >= 0.5:
                kind = "duplicate"
            else:
                kind = "both" if other[0] >= 0.1 else "background"
            add(counts, label, kind)
        for index, (_, label, difficult) in enumerate(objects):
            if index not in taken | pointed and not difficult:
                add(counts, label, "missed")
    return counts


def best_of(box, objects, wanted):
    """The highest IoU among objects of wanted classes that are not difficult, and its index."""
    ious = [
        (literal_iou(box, other), -index)
        for index, (other, label, difficult) in enumerate(objects)
        if wanted(label) and not difficult
    ]
    iou, index = max(ious, default=(0.0, 1))
    return iou, -index


def add(counts, label, kind):
    counts[int(label), kind] = counts.get((int(label), kind), 0) + 1
