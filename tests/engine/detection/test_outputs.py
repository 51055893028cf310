"""Crops, YOLO texts and csv of known boxes, against Pillow, the csv module and hand calculation."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from frcnn_cli.engine.detection.outputs import DetectionOutputs, class_folders, write_jpeg
from frcnn_cli.engine.detection.run import find_labels
from frcnn_cli.engine.detection.texts import start_yolo_folder, write_csv, yolo_text
from frcnn_cli.engine.records import Detections
from frcnn_proposals.errors import InputError, MisuseError

CLASSES = ("cat", 'the "big", dog', "car")
IMAGE = np.random.default_rng(0).integers(0, 256, (50, 200, 3), np.uint8)
# By hand, in an image of 200 x 50: all of it, its left half, and its last pixel.
FOUND = Detections(
    np.array([[0, 0, 199, 49], [0, 0, 99, 49], [199, 49, 199, 49]], np.float32),
    np.array([0.75, 0.5, 0.25], np.float32),
    np.array([2, 1, 2]),
)


def test_yolo_text_by_hand() -> None:
    assert yolo_text(FOUND, 200, 50).splitlines() == [
        "1 0.5 0.5 1 1 0.75",
        "0 0.25 0.5 0.5 1 0.5",
        "1 0.9975 0.99 0.005 0.02 0.25",
    ]
    assert yolo_text(Detections(), 200, 50) == ""


def test_csv_as_the_csv_module_reads_it(tmp_path: Path) -> None:
    third = np.float32(1 / 3)
    odd = Detections(np.array([[third, 0, 7, 9]]), np.array([third]), np.array([3]))
    found = {"a, b": FOUND, "nothing": Detections(), "sub/ü": odd}
    write_csv(tmp_path / "new" / "found.csv", found, CLASSES)
    with open(tmp_path / "new" / "found.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["image", "class", "score", "x1", "y1", "x2", "y2"]
    assert [row["image"] for row in rows] == ["a, b"] * 3 + ["sub/ü"]
    assert [row["class"] for row in rows] == [CLASSES[1], "cat", CLASSES[1], "car"]
    numbers = [[float(row[name]) for name in ("x1", "y1", "x2", "y2", "score")] for row in rows]
    assert numbers[0] == [0, 0, 199, 49, 0.75]
    assert np.float32(numbers[3][0]) == third
    assert np.float32(numbers[3][4]) == third


def jpeg_pixels(image: PIL.Image.Image) -> np.ndarray:
    """The pixels after the same compression."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=92)
    return np.asarray(PIL.Image.open(buffer))


def test_crops_are_the_pixels_of_the_boxes(tmp_path: Path) -> None:
    boxes = np.array([[10, 5, 29, 14], [10.4, 4.6, 29.4, 13.6], [199, 49, 199, 49]], np.float32)
    found = Detections(boxes, FOUND.scores, FOUND.labels)
    DetectionOutputs(crops=tmp_path).write_image("sub/photo", IMAGE, found, CLASSES)
    written = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*.*"))
    folder = "the _big__ dog"
    assert written == ["cat/sub/photo-2.jpg", f"{folder}/sub/photo-1.jpg",
                       f"{folder}/sub/photo-3.jpg"]  # fmt: skip
    # Pillow's far corner is exclusive.
    region = PIL.Image.fromarray(IMAGE).crop((10, 5, 30, 15))
    for name in written[:2]:
        crop = np.asarray(PIL.Image.open(tmp_path / name))
        np.testing.assert_array_equal(crop, jpeg_pixels(region))
    assert PIL.Image.open(tmp_path / written[2]).size == (1, 1)


@pytest.mark.parametrize(
    "classes",
    [("a/b", "a_b"), ("Cat", "cat"), ("..", ".", "/", ""), ("\n", "\0"), ("x" * 99, "x" * 98)],
)
def test_folders_of_classes_are_safe_and_distinct(tmp_path: Path, classes: tuple[str, ...]) -> None:
    names = class_folders(classes)
    assert len({name.casefold() for name in names}) == len(classes)
    for name in names:
        (tmp_path / name).mkdir()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names)


def test_plain_class_names_stay(tmp_path: Path) -> None:
    assert class_folders(("traffic light", "猫", "tv-1.5")) == ["traffic light", "猫", "tv-1.5"]


def test_an_empty_yolo_text_for_an_image_without_detections(tmp_path: Path) -> None:
    outputs = DetectionOutputs(yolo=tmp_path)
    start_yolo_folder(tmp_path, ["empty", "full"], CLASSES)
    outputs.write_image("full", IMAGE, FOUND, CLASSES)
    outputs.write_image("empty", IMAGE, Detections(), CLASSES)
    assert (tmp_path / "classes.txt").read_text().splitlines() == list(CLASSES)
    assert (tmp_path / "empty.txt").read_text() == ""
    assert (tmp_path / "full.txt").read_text() == yolo_text(FOUND, 200, 50)
    start_yolo_folder(tmp_path, ["empty", "full"], CLASSES)  # a second run replaces its own


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("photo.txt", "0 0.5 0.5 1 1\n", "may be an annotation"),
        ("photo.txt", "notes\n", "may be an annotation"),
        ("classes.txt", "cat\ncar\n", "other classes"),
    ],
)
def test_annotations_are_not_replaced(tmp_path: Path, name: str, content: str, words: str) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(MisuseError, match=words):
        start_yolo_folder(tmp_path, ["photo"], CLASSES)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name).read_text() == content


def test_an_image_named_as_the_class_names_is_rejected(tmp_path: Path) -> None:
    with pytest.raises(MisuseError, match="Rename the image"):
        start_yolo_folder(tmp_path, ["classes"], CLASSES)


def test_sides_that_jpeg_cannot_have(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="70000 x 1 pixels cannot be written as JPEG"):
        write_jpeg(tmp_path / "a.jpg", np.zeros((1, 70000, 3), np.uint8))


def test_labels_by_name() -> None:
    assert find_labels(["car", "cat"], CLASSES) == (3, 1)
    with pytest.raises(MisuseError, match=r"no class 'carr'\. Did you mean 'car'"):
        find_labels(["cat", "carr"], CLASSES)
