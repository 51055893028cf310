"""A byte-order mark, which editors on Windows write, is no part of a file's first line."""

import codecs
import json

import pytest
from builders import make_dataset
from folders import write_voc
from PIL import Image

from frcnn_cli.commands.import_caffe import _names
from frcnn_cli.engine.datasets.find import find_dataset
from frcnn_cli.engine.datasets.inputs import find_images, read_image_set
from frcnn_cli.engine.evaluation.detections_file import read_detections
from frcnn_cli.engine.settings.overrides import read_toml
from frcnn_proposals.formats.content import load_content

CAT = ("cat", (1, 1, 50, 60))
BOX = (0, 0, 49, 59)
TRUTH = make_dataset(["cat"], a=[("cat", BOX)])
RESULT = {"image_id": "a", "category_id": 1, "bbox": [0, 0, 50, 60], "score": 0.5}
COCO = {
    "images": [{"id": 1, "file_name": "a.png", "width": 100, "height": 80}],
    "annotations": [{"id": 1, "image_id": 1, "category_id": 1, "bbox": [0, 0, 50, 60]}],
    "categories": [{"id": 1, "name": "cat"}],
}


@pytest.fixture(params=["utf-8-sig", "utf-16"])
def write(request, tmp_path):
    """Write a text file with a mark, and return its path."""

    def write_file(name, text):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text.replace("\n", "\r\n").encode(request.param))
        return path

    assert "".encode(request.param) in (codecs.BOM_UTF8, codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
    return write_file


def image(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (100, 80)).save(path)
    return path


def is_cat(dataset):
    (record,) = dataset.images
    return dataset.classes == ("cat",) and record.truth.boxes.tolist() == [list(BOX)]


def test_lists_of_voc_and_classes(write, tmp_path):
    write_voc(tmp_path, {"test": ["a"]}, {"a": [CAT]})
    write("ImageSets/Main/test.txt", "a\n")
    write("classes.txt", "cat\n")
    assert is_cat(find_dataset(str(tmp_path), "test"))
    assert read_image_set(write("set.txt", "a\nb\n")) == ["a", "b"]


def test_yolo_labels_and_descriptions(write, tmp_path):
    pytest.importorskip("yaml")
    image(tmp_path / "images/a.png")
    write("labels/a.txt", "0 0.25 0.375 0.5 0.75\n")
    write("data.yaml", "train: images\nval: list.txt\nnames: [cat]\n")
    write("list.txt", "images/a.png\n")
    assert is_cat(find_dataset(str(tmp_path), "train"))
    assert is_cat(find_dataset(str(tmp_path), "val"))


def test_coco_json(write, tmp_path):
    image(tmp_path / "a.png")
    assert is_cat(find_dataset(str(write("coco.json", json.dumps(COCO))), "all"))


def test_detections(write):
    for path in (
        write("found.json", json.dumps([RESULT])),
        write("comp4_det_test_cat.txt", "a 0.5 1 1 50 60\n"),
    ):
        found = read_detections(path, TRUTH)
        assert {name: item.boxes.tolist() for name, item in found.items()} == {"a": [list(BOX)]}


def test_lists_of_images_and_proposal_files(write, tmp_path):
    image(tmp_path / "a.png")
    assert [name for name, _ in find_images([str(write("list.txt", "a.png\n"))])] == ["a"]
    assert load_content(write("a.csv", "image,x1\n")).value.startswith("image,")
    assert load_content(write("a.json", "[1]")).value == [1]


def test_settings_and_class_names(write):
    (override,) = read_toml(write("mine.toml", "[training]\niterations = 7\n"))
    assert (override.path, override.value) == ("training.iterations", 7)
    assert _names(str(write("names.txt", "cat\ndog\n"))) == ("cat", "dog")
