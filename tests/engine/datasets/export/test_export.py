"""Exported files are read back by the readers and by other libraries."""

import csv
import json
import re

import numpy as np
import pytest
from folders import write_voc
from full_disk import no_file_may_exceed
from PIL import Image

from frcnn_cli.engine.datasets.export.dataset import export_dataset
from frcnn_cli.engine.datasets.find import find_dataset
from frcnn_cli.engine.datasets.readers.coco_records import CocoDataset
from frcnn_cli.engine.evaluation.detections_file import read_detections
from frcnn_cli.engine.records import Dataset, Detections, GroundTruth, ImageRecord
from frcnn_proposals.errors import InputError, MisuseError

DETECTIONS = {
    "000002": Detections(
        np.array([[0.5, 1.25, 30, 40], [5, 5, 9, 9]], np.float32),
        np.array([0.875, 0.1], np.float32),
        np.array([2, 1]),
    )
}


@pytest.fixture
def dataset(tmp_path):
    root = write_voc(
        tmp_path / "source",
        {"test": ["000001", "000002"]},
        {
            "000001": [("cat & dog", (1, 1, 50, 60)), ("ant", (11, 1, 100, 80), True)],
            "000002": [],
        },
    )
    return find_dataset(str(root), "test")


def assert_same_truth(read, expected, difficult=True):
    assert read.classes == expected.classes
    for image, original in zip(read.images, expected.images, strict=True):
        assert image.image_id == original.image_id
        keep = slice(None) if difficult else ~original.truth.difficult
        assert np.allclose(image.truth.boxes, original.truth.boxes[keep], atol=1e-4)
        assert np.array_equal(image.truth.labels, original.truth.labels[keep])
        if difficult:
            assert np.array_equal(image.truth.difficult, original.truth.difficult)


@pytest.mark.parametrize("format", ["voc", "yolo"])
def test_voc_and_yolo_folders_read_back(dataset, tmp_path, format):
    if format == "yolo":
        pytest.importorskip("yaml")
    export_dataset(dataset, tmp_path / format, format, copy_images=True)
    back = find_dataset(str(tmp_path / format), "test")
    assert_same_truth(back, dataset, difficult=format == "voc")
    with Image.open(back.images[0].path) as image:
        assert image.size == (100, 80)


def test_coco_reads_back_with_its_difficult_objects(dataset, tmp_path):
    path = tmp_path / "source/JPEGImages/test.json"
    export_dataset(dataset, path, "coco")
    assert_same_truth(find_dataset(str(path), "test"), dataset)
    content = json.loads(path.read_text())
    assert [image["id"] for image in content["images"]] == [1, 2]
    assert content["annotations"][0]["bbox"] == [0, 0, 50, 60]
    assert [entry["iscrowd"] for entry in content["annotations"]] == [0, 1]


def test_pycocotools_reads_the_coco_export(dataset, tmp_path):
    coco = pytest.importorskip("pycocotools.coco")
    export_dataset(dataset, tmp_path / "truth.json", "coco")
    export_dataset(dataset, tmp_path / "found.json", "coco", DETECTIONS)
    index = coco.COCO(str(tmp_path / "truth.json"))
    assert [category["name"] for category in index.loadCats(index.getCatIds())] == [
        "ant",
        "cat & dog",
    ]
    results = index.loadRes(str(tmp_path / "found.json"))
    assert results.anns[1]["bbox"] == [0.5, 1.25, 30.5, 39.75]
    assert results.anns[1]["image_id"] == 2


def test_numbers_of_a_coco_dataset_are_preserved(dataset, tmp_path):
    numbered = CocoDataset(
        "c", "test", dataset.classes, dataset.images, {"000001": 70, "000002": 30}, (5, 9)
    )
    export_dataset(numbered, tmp_path / "found.json", "coco", DETECTIONS)
    entries = json.loads((tmp_path / "found.json").read_text())
    assert {(entry["image_id"], entry["category_id"]) for entry in entries} == {(30, 9), (30, 5)}


def test_detections_read_back_from_coco(dataset, tmp_path):
    export_dataset(dataset, tmp_path / "found.json", "coco", DETECTIONS)
    back = read_detections(tmp_path / "found.json", dataset)["000002"]
    assert np.array_equal(back.boxes, DETECTIONS["000002"].boxes)
    assert np.array_equal(back.scores, DETECTIONS["000002"].scores)
    assert np.array_equal(back.labels, DETECTIONS["000002"].labels)


def test_every_format_has_the_scores_of_detections(dataset, tmp_path):
    for format in ("voc", "yolo", "csv"):
        export_dataset(dataset, tmp_path / format, format, DETECTIONS)
    xml = (tmp_path / "voc/Annotations/000002.xml").read_text()
    assert "<score>0.875</score><bndbox><xmin>1.5</xmin><ymin>2.25</ymin>" in xml
    first = (tmp_path / "yolo/labels/test/000002.txt").read_text().split("\n")[0].split()
    assert [float(value) for value in first] == pytest.approx(
        [1, 15.75 / 100, 21.125 / 80, 30.5 / 100, 39.75 / 80, 0.875]
    )
    with (tmp_path / "csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0] == {
        "image": "000002",
        "class": "cat & dog",
        "x1": "0.5",
        "y1": "1.25",
        "x2": "30.0",
        "y2": "40.0",
        "score": "0.875",
        "difficult": "0",
        "crowd": "0",
    }


def test_csv_of_ground_truth_marks_difficult(dataset, tmp_path):
    export_dataset(dataset, tmp_path / "truth.csv", "csv")
    rows = list(csv.DictReader((tmp_path / "truth.csv").read_text().splitlines()))
    assert [(row["score"], row["difficult"]) for row in rows] == [("", "0"), ("", "1")]


@pytest.mark.parametrize("format", ["voc", "yolo", "coco", "csv"])
def test_a_full_disk_is_reported_with_the_name(dataset, tmp_path, format):
    out = tmp_path / "out"
    with no_file_may_exceed(10), pytest.raises(InputError, match=re.escape(f"{out}: cannot be")):
        export_dataset(dataset, out, format)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]


def test_rejected_requests_write_nothing(dataset, tmp_path):
    out = tmp_path / "out"
    with pytest.raises(MisuseError, match="Unknown format"):
        export_dataset(dataset, out, "pdf")
    with pytest.raises(MisuseError, match="Images cannot be copied"):
        export_dataset(dataset, out, "csv", copy_images=True)
    unlabelled = Dataset("u", "test", ("a",), (ImageRecord("1", tmp_path / "1.jpg", 9, 9),))
    with pytest.raises(MisuseError, match="no annotations to export"):
        export_dataset(unlabelled, out, "voc")
    image = ImageRecord("../escaped", tmp_path / "1.jpg", 9, 9, GroundTruth())
    with pytest.raises(InputError, match="not a valid file name"):
        export_dataset(Dataset("u", "test", ("a",), (image,)), out, "voc")
    lost = ImageRecord("1", tmp_path / "absent.jpg", 9, 9, GroundTruth())
    with pytest.raises(FileNotFoundError):
        export_dataset(Dataset("u", "test", ("a",), (lost,)), out, "voc", copy_images=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["source"]
    export_dataset(dataset, out, "voc")
    with pytest.raises(MisuseError, match="already exists"):
        export_dataset(dataset, out, "voc")
