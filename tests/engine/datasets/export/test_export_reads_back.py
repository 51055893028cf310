"""Exports of images with unusual names, between all formats, are read back equal."""

from __future__ import annotations

import csv
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from frcnn_cli.engine.datasets.export.dataset import export_dataset
from frcnn_cli.engine.datasets.find import find_dataset
from frcnn_cli.engine.evaluation.detections_file import read_detections
from frcnn_cli.engine.records import Dataset, GroundTruth, ImageRecord
from frcnn_proposals.errors import InputError

pytest.importorskip("yaml")

IDS = (
    *("my photo", "sub/#1", "sub/deeper/1", "sub two/my photo", "1", "photo 1", "photo  -1"),
    *("a,b", "a.b", "#2", "caf\u00e9", "'single' \"double\"", "a & <b>", "50%", "images/1"),
    *("labels/1", "-1", "key: value", "[x]", "*", "\u732b"),
)
CLASSES = ("two words", "#ant", "a & <b>", "'x': \"y\"", "\u732b", "null", "1")
SPLITS = ("train", "val", "trainval", "test", "all")
FORMATS = ("coco", "voc", "yolo")


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> tuple[ImageRecord, ...]:
    folder = tmp_path_factory.mktemp("images")
    generator = np.random.default_rng(0)
    records = []
    for number, name in enumerate(IDS):
        path = folder / f"{name}{('.jpg', '.png', '.JPEG')[number % 3]}"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (40 + number, 30)).save(path)
        count = number % 3  # some images have no objects
        corners = generator.integers(1, 12, (count, 2))
        boxes = np.concatenate([corners, corners + generator.integers(3, 15, (count, 2))], 1)
        labels = generator.integers(1, len(CLASSES) + 1, count)
        truth = GroundTruth(boxes.astype(np.float32), labels, np.zeros(count, bool))
        records.append(ImageRecord(name, path, 40 + number, 30, truth))
    return tuple(records)


def written(dataset: Dataset, format: str, root: Path) -> str:
    """Export with its images; returns the name of the exported dataset."""
    if format != "coco":
        export_dataset(dataset, root, format, copy_images=True)
        return str(root)
    file = root / "annotations" / f"instances_{dataset.split}.json"
    export_dataset(dataset, file, "coco")
    for image in dataset.images:
        target = root / "images" / f"{image.image_id}{image.path.suffix}"
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(image.path, target)
    return str(root)


def assert_equal(read: Dataset, expected: Dataset) -> None:
    assert read.classes == expected.classes
    assert read.split == expected.split
    originals = {image.image_id: image for image in expected.images}
    assert {image.image_id for image in read.images} == set(originals)
    assert len(read.images) == len(originals)
    for image in read.images:
        original = originals[image.image_id]
        assert (image.width, image.height) == (original.width, original.height)
        assert image.path.read_bytes() == original.path.read_bytes()
        assert image.truth is not None
        assert original.truth is not None
        assert np.allclose(image.truth.boxes, original.truth.boxes, atol=1e-3)
        assert np.array_equal(image.truth.labels, original.truth.labels)


@pytest.mark.parametrize("second", FORMATS)
@pytest.mark.parametrize("first", FORMATS)
def test_from_one_format_to_another(
    first: str, second: str, images: tuple[ImageRecord, ...], tmp_path: Path
) -> None:
    dataset = Dataset("names", "test", CLASSES, images)
    for index, format in enumerate((first, second)):
        source = dataset if index == 0 else find_dataset(str(tmp_path / first), "test")
        name = written(source, format, tmp_path / (format if index == 0 else "second"))
        assert_equal(find_dataset(name, "test"), dataset)


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("split", SPLITS)
def test_every_split(
    split: str, format: str, images: tuple[ImageRecord, ...], tmp_path: Path
) -> None:
    dataset = Dataset("names", split, CLASSES, images[:3])
    assert_equal(find_dataset(written(dataset, format, tmp_path / "out"), split), dataset)


def test_the_table_has_the_ids(images: tuple[ImageRecord, ...], tmp_path: Path) -> None:
    export_dataset(Dataset("names", "test", CLASSES, images), tmp_path / "x.csv", "csv")
    with (tmp_path / "x.csv").open(newline="", encoding="utf-8") as file:
        rows = [(row["image"], row["class"]) for row in csv.DictReader(file)]
    assert rows == [
        (image.image_id, CLASSES[label - 1])
        for image in images
        if image.truth is not None
        for label in image.truth.labels
    ]


@pytest.mark.parametrize("format", ["voc", "yolo"])
@pytest.mark.parametrize("name", [" cat", "cat ", "a\x1bb", "two\nlines", ""])
def test_what_no_line_can_hold_is_rejected(
    name: str, format: str, images: tuple[ImageRecord, ...], tmp_path: Path
) -> None:
    with pytest.raises(InputError, match="cannot be written in this format"):
        export_dataset(Dataset("x", "test", ("ant", name), images[:1]), tmp_path / "x", format)
    renamed = (replace(images[0], image_id=name),)
    with pytest.raises(InputError, match="not a valid file name"):
        export_dataset(Dataset("x", "test", CLASSES, renamed), tmp_path / "x", format)
    assert not (tmp_path / "x").exists()


def test_results_of_the_voc_devkit_name_images_with_spaces(
    images: tuple[ImageRecord, ...], tmp_path: Path
) -> None:
    dataset = Dataset("names", "test", ("ant",), images)
    file = tmp_path / "comp4_det_test_ant.txt"
    file.write_text("my photo 0.5 1 2 3 4\nphoto 1 0.25 1 2 3 4\n1 0.75 1 2 3 4\n")
    found = read_detections(file, dataset)
    scores = {name: list(item.scores) for name, item in found.items() if len(item.scores)}
    assert scores == {"my photo": [0.5], "photo 1": [0.25], "1": [0.75]}
    file.write_text("unknown photo 0.5 1 2 3 4\n")
    with pytest.raises(InputError, match="line 1"):
        read_detections(file, dataset)


def test_the_second_column_of_a_voc_list_is_ignored(tmp_path: Path) -> None:
    from frcnn_cli.engine.datasets.inputs import read_image_set

    file = tmp_path / "list.txt"
    file.write_text("000001  1\n000002 -1\n000003  0\n000004\nmy photo\nmy photo 1 1\n")
    assert read_image_set(file) == [
        *("000001", "000002", "000003", "000004", "my photo", "my photo 1")
    ]
