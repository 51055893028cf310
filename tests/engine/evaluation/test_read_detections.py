"""Reading detection files of other tools, and the messages for invalid ones."""

import json

import numpy as np
import pytest
from builders import make_dataset

from frcnn_cli.engine.datasets.readers.coco_records import CocoDataset
from frcnn_cli.engine.detection.results import coco_entries
from frcnn_cli.engine.evaluation.detections_file import read_detections
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
    with pytest.raises(MisuseError, match="file type not supported"):
        read_detections(tmp_path / "found.pkl", VOC)
