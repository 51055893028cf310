"""Reading detection files of other tools, and the messages for invalid ones."""

import json
from pathlib import Path

import numpy as np
import pytest
from builders import make_dataset
from reporters import RecordingReporter

from frcnn_cli.engine.datasets.readers.coco_records import CocoDataset
from frcnn_cli.engine.detection.results import coco_entries
from frcnn_cli.engine.detection.texts import yolo_text
from frcnn_cli.engine.evaluation.detections_file import read_detections
from frcnn_cli.engine.evaluation.scores import evaluate
from frcnn_cli.engine.records import Detections
from frcnn_proposals.errors import InputError, MisuseError

BOX = (10, 10, 59, 59)
VOC = make_dataset(["cat", "wild_cat"], **{"000012": [("cat", BOX)], "000700": []})
GOOD = {"image_id": "000012", "category_id": 1, "bbox": [10, 10, 50, 50], "score": 0.5}

BOX_OF_WILD_CAT = (np.array([BOX], np.float32), np.array([0.5], np.float32), np.array([2]))


def coco_file(tmp_path, content):
    path = tmp_path / "results.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def voc_folder(tmp_path, **files):
    for name, text in files.items():
        (tmp_path / f"{name}.txt").write_text(text)
    return tmp_path


def test_coco_results_become_inclusive_boxes_per_image_sorted_by_score(tmp_path):
    entries = [
        GOOD,
        {"image_id": 12, "category_id": 2, "bbox": [0, 0, 1, 1], "score": 0.75},
        {"image_id": 700, "category_id": 1, "bbox": [0.5, 0, 10, 10], "score": 0.25},
        {"image_id": 9, "category_id": 1, "bbox": [0, 0, 10, 10], "score": 0.25},
    ]
    found = read_detections(coco_file(tmp_path, entries), VOC)
    assert set(found) == {"000012", "000700", "9"}
    assert found["000012"].boxes.tolist() == [[0, 0, 0, 0], [10, 10, 59, 59]]
    assert found["000012"].scores.tolist() == [0.75, 0.5]
    assert found["000012"].labels.tolist() == [2, 1]
    assert found["000700"].boxes.tolist() == [[0.5, 0, 9.5, 9]]


def test_coco_numbers_are_those_of_the_dataset_json(tmp_path):
    dataset = CocoDataset(
        VOC.name, VOC.split, VOC.classes, VOC.images, {"000012": 5, "000700": 12}, (17, 44)
    )
    entries = [{**GOOD, "image_id": 5, "category_id": 44}]
    found = read_detections(coco_file(tmp_path, entries), dataset)
    assert found["000012"].labels.tolist() == [2]
    with pytest.raises(InputError, match="unknown category_id 1; expected one of 17, 44"):
        read_detections(coco_file(tmp_path, [GOOD]), dataset)


def test_categories_in_the_file_are_matched_by_name(tmp_path):
    categories = [{"id": 1, "name": "wild_cat"}, {"id": 2, "name": "cat"}]
    content = {"categories": categories, "annotations": [GOOD]}
    assert read_detections(coco_file(tmp_path, content), VOC)["000012"].labels.tolist() == [2]


def test_own_results_use_the_category_name(tmp_path):
    dataset = CocoDataset(
        VOC.name, VOC.split, VOC.classes, VOC.images, {"000012": 5, "000700": 12}, (17, 44)
    )
    own = coco_entries("000012", Detections(*BOX_OF_WILD_CAT), VOC.classes)
    found = read_detections(coco_file(tmp_path, own), dataset)
    assert found["000012"].labels.tolist() == [2]
    assert found["000012"].boxes.tolist() == [list(BOX)]
    with pytest.raises(InputError, match="unknown category 'dog'; expected one of cat, wild_cat"):
        read_detections(coco_file(tmp_path, [{**GOOD, "category": "dog"}]), dataset)


def test_an_empty_list_is_valid(tmp_path):
    assert read_detections(coco_file(tmp_path, []), VOC) == {}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[{", "not a readable JSON file"),
        ("[" * 100_000, "not a readable JSON file"),
        ("{}", "expected a list"),
        ([GOOD, 3], "entry 2: expected an object"),
        ([{**GOOD, "bbox": [1, 2, 3]}], "entry 1: bbox must be 4 numbers"),
        ([{**GOOD, "score": "high"}], "bbox must be 4 numbers and score one"),
        ([{**GOOD, "category_id": 7}], "unknown category_id 7"),
        ([{**GOOD, "image_id": [1]}], "image_id must be"),
        ([GOOD, {"image_id": 1}], "entry 2: category_id is missing"),
        ('[{"image_id": 12, "category_id": 1, "bbox": [0,0,1,NaN], "score": 1}]', "not a readable"),
        ([{**GOOD, "score": 10**400}], "not a readable JSON file"),
        ([{**GOOD, "bbox": [9, 9, -3, 4]}], "entry 1: its box is inverted"),
        ([{**GOOD, "image_id": "x"}], "none of its images is in made test: the file has 'x'"),
    ],
)
def test_invalid_results_file_is_reported(tmp_path, content, message):
    with pytest.raises(InputError) as error:
        read_detections(coco_file(tmp_path, content), VOC)
    assert message in str(error.value)
    assert "results.json" in str(error.value)


def test_devkit_files_are_1_based_and_named_by_class(tmp_path):
    folder = voc_folder(
        tmp_path,
        comp4_det_test_cat="000012 0.5 11 11 60 60\n\n000700 0.25 1 1 1 1\n",
        comp4_det_test_wild_cat="000012 0.75 1.5 1 9 9\n",
        notes="nothing of use",
    )
    found = read_detections(folder, VOC)
    assert found["000012"].boxes.tolist() == [[0.5, 0, 8, 8], [10, 10, 59, 59]]
    assert found["000012"].labels.tolist() == [2, 1]
    assert np.array_equal(found["000700"].boxes, [[0, 0, 0, 0]])
    (folder / "._comp4_det_test_cat.txt").write_bytes(b"\0\5\x16\7 Mac OS X")  # hidden
    assert read_detections(folder, VOC).keys() == found.keys()
    one = read_detections(folder / "comp4_det_test_cat.txt", VOC)
    assert one["000012"].labels.tolist() == [1]


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"cat": "000012 0.5 1 1 9\n"}, "cat.txt: line 1: expected"),
        ({"cat": "\n000012 nan 1 1 9 9\n"}, "cat.txt line 2: a number is not finite"),
        ({"cat": "000012 0.5 1 1 9 9\n000012 0.5 9 9 1 1\n"}, "cat.txt line 2: its box"),
        ({"a_cat": "", "b_cat": ""}, "a_cat.txt and b_cat.txt both belong to class cat"),
        ({"dog": "000012 0.5 1 1 9 9\n"}, "no file name ends with a class"),
        ({"000012": "dog 0.5 1 1 9 9\n"}, "000012.txt: line 1: expected `class score x1 y1 x2 y2`"),
        ({"000012": "2 0.5 0.5 0.1 0.1 0.9\n"}, "with its number, 0..1"),
        ({"000012": "0 0.5 0.5 0.1 0.1\n"}, "000012.txt: line 1: expected"),
        ({"000012": "", "12": "cat 0.5 1 1 9 9"}, "'000012' and '12' both match image '000012'"),
    ],
)
def test_invalid_devkit_folder_is_reported(tmp_path, files, message):
    with pytest.raises(InputError) as error:
        read_detections(voc_folder(tmp_path, **files), VOC)
    assert message in str(error.value)


def test_missing_and_unsupported_files(tmp_path):
    with pytest.raises(MisuseError, match="file of detections does not exist"):
        read_detections(tmp_path / "absent.json", VOC)
    (tmp_path / "found.pkl").write_bytes(b"x")
    with pytest.raises(MisuseError, match=r"file type not supported.*a folder of parts"):
        read_detections(tmp_path / "found.pkl", VOC)


@pytest.mark.parametrize("suffix", ["parquet", "jsonl"])
def test_one_part_names_its_folder(tmp_path, suffix):
    part = tmp_path / f"part-01234567-1of1-000000-01234567.{suffix}"
    part.write_bytes(b"x")
    with pytest.raises(MisuseError, match=f"folder of all parts, {tmp_path}"):
        read_detections(part, VOC)
    with pytest.raises(InputError, match=r"parts\.json: is missing\. Copy it from the folder"):
        read_detections(tmp_path, VOC)


NAMED = make_dataset(
    ["cat", "dog", "cow"], **{"a": [], "cam1/b": [], "cam2/b": [], "c.d": [], "7": [], "x.jpg": []}
)


def found_in(tmp_path, image_ids, dataset=NAMED):
    """The ids of the dataset that are found for these image ids, in order, and the notes."""
    entries = [{**GOOD, "category_id": 3, "image_id": image_id} for image_id in image_ids]
    reporter = RecordingReporter()
    return list(read_detections(coco_file(tmp_path, entries), dataset, reporter)), reporter.notes


@pytest.mark.parametrize(
    ("name", "image_id"),
    [
        ("a", "a"),
        ("a.jpg", "a"),
        ("a.PNG", "a"),
        ("/content/data/images/a.jpg", "a"),
        ("images\\a.jpg", "a"),
        ("cam1/b", "cam1/b"),
        ("cam2/b.jpg", "cam2/b"),
        ("d/cam2/b.jpg", "cam2/b"),
        ("c.d", "c.d"),
        ("c.d.jpg", "c.d"),
        ("x.jpg", "x.jpg"),
        ("x", "x.jpg"),
        (7, "7"),
        ("07", "7"),
    ],
)
def test_images_are_found_by_the_names_of_their_files(tmp_path, name, image_id):
    assert found_in(tmp_path, [name]) == ([image_id], [])


def test_images_of_other_splits_are_kept(tmp_path):
    names = ["a", "b2", "cam3/b.jpg"]
    assert found_in(tmp_path, names) == (names, [])


def test_a_file_name_of_two_images_or_two_names_of_one_image_are_errors(tmp_path):
    with pytest.raises(InputError, match=r"image 'b\.jpg' can be 'cam1/b' or 'cam2/b'"):
        found_in(tmp_path, ["b.jpg"])
    with pytest.raises(InputError, match=r"'e/a\.jpg' and 'f/a\.jpg' both match image 'a'"):
        found_in(tmp_path, ["e/a.jpg", "f/a.jpg"])


def test_numbers_of_named_images_are_positions_and_said(tmp_path):
    names = make_dataset(["a", "b", "c"], frame_1=[], frame_2=[])
    found, (note,) = found_in(tmp_path, [2, 1], names)
    assert found == ["frame_2", "frame_1"]
    assert "1 is 'frame_1', 2 is 'frame_2'" in note
    with pytest.raises(InputError, match=r"numbers such as 0, but .* names such as 'frame_1'"):
        found_in(tmp_path, [0, 1], names)
    voc2012 = make_dataset(["a", "b", "c"], **{"2007_000027": [], "2007_000032": []})
    assert found_in(tmp_path, [2007000032], voc2012) == (["2007_000032"], [])
    assert found_in(tmp_path, [2], voc2012)[0] == ["2007_000032"]
    # Image 7 is the fifth: 7 can only be its name, 1 only a position, and 5 would be image 7.
    assert found_in(tmp_path, [7]) == (["7"], [])
    assert found_in(tmp_path, [1, 5])[0] == ["a", "7"]
    with pytest.raises(InputError, match="numbers such as 1"):
        found_in(tmp_path, [1, 7])


def labels_in(tmp_path, numbers, dataset=NAMED):
    entries = [{**GOOD, "image_id": "a", "category_id": number} for number in numbers]
    reporter = RecordingReporter()
    found = read_detections(coco_file(tmp_path, entries), dataset, reporter)
    return found["a"].labels.tolist(), "".join(reporter.notes)


def test_categories_that_count_from_zero_are_said(tmp_path):
    labels, note = labels_in(tmp_path, [2, 0, 1])
    assert labels == [3, 1, 2]
    assert "its category numbers count from 0: 0 is 'cat'" in note
    assert labels_in(tmp_path, [1, 3]) == ([1, 3], "")
    labels, note = labels_in(tmp_path, [1, 2])
    assert labels == [1, 2]
    assert "no category_id is 0 or 3" in note
    assert "1 is 'cat'" in note
    with pytest.raises(InputError, match="unknown category_id 0"):
        labels_in(tmp_path, [0, 3])
    numbered = CocoDataset(NAMED.name, NAMED.split, NAMED.classes, NAMED.images, {}, (0, 1, 2))
    assert labels_in(tmp_path, [0, 1], numbered) == ([1, 2], "")


def test_one_text_file_per_image(tmp_path):
    """As the mAP script reads them, and as `detect --yolo` writes them."""
    dataset = make_dataset(["cat", "wild cat"], my_cat=[], **{"cam/b": []})
    boxes = np.array([[10, 20, 59, 69], [0.5, 0, 499, 499]], np.float32)
    own = Detections(boxes, np.array([0.75, 0.25], np.float32), np.array([2, 1]))
    (tmp_path / "cam").mkdir()
    texts = {
        "script": ("wild cat 0.75 10 20 59 69\ncat 0.25 0.5 0 499 499\n", "cat 0.5 1 2 3 4\n"),
        "yolo": (yolo_text(own, 500, 500), "0 0.005 0.007 0.006 0.006 0.5\n"),
    }
    for first, second in texts.values():
        (tmp_path / "my_cat.txt").write_text(first)
        (tmp_path / "cam" / "b.txt").write_text(second)
        (tmp_path / "classes.txt").write_text("cat\nwild cat\n")
        found = read_detections(tmp_path, dataset)
        np.testing.assert_allclose(found["my_cat"].boxes, boxes, atol=1e-3)
        assert found["my_cat"].labels.tolist() == [2, 1]
        assert found["my_cat"].scores.tolist() == [0.75, 0.25]
        np.testing.assert_allclose(found["cam/b"].boxes, [[1, 2, 3, 4]], atol=1e-3)
    one = read_detections(Path(tmp_path / "cam" / "b.txt"), make_dataset(["cat"], b=[]))
    assert list(one) == ["b"]


@pytest.mark.parametrize("kind", ["json", "devkit"])
def test_scores_that_differ_beyond_single_precision_are_no_ties(tmp_path, kind):
    """The wrong detection is first in the file, and second by score."""
    low, high = 0.5, 0.5 + 1e-12
    assert np.float32(low) == np.float32(high)
    far = (200, 200, 249, 249)
    if kind == "json":
        wrong = {**GOOD, "bbox": [200, 200, 50, 50], "score": low}
        path = coco_file(tmp_path, [wrong, {**GOOD, "score": high}])
    else:
        path = voc_folder(tmp_path, cat=f"000012 {low} 201 201 250 250\n000012 {high} 11 11 60 60")
    found = read_detections(path, VOC)
    assert found["000012"].boxes.tolist() == [list(BOX), list(far)]
    evaluation = evaluate(VOC, found)
    assert evaluation.voc.map_area == 1.0
    assert evaluation.coco.ap50 == 1.0
    # Also between images, where the order of the dataset decides ties.
    others = make_dataset(["cat"], a=[], b=[("cat", BOX)])
    entries = [{**GOOD, "image_id": "a", "score": low}, {**GOOD, "image_id": "b", "score": high}]
    found = read_detections(coco_file(tmp_path, entries), others)
    assert evaluate(others, found).voc.map_area == 1.0
