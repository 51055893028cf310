"""Detections as pseudo labels: which become objects, and the datasets that training reads back."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from builders import make_dataset, make_detections
from called import frcnn
from PIL import Image

from frcnn_cli.engine.datasets.export.pseudo_labels import PseudoLabelOptions, pseudo_labels
from frcnn_cli.engine.datasets.find import available_splits, find_dataset
from frcnn_cli.engine.records import Dataset, ImageLabels, ImageRecord
from frcnn_proposals.errors import MisuseError

CLASSES = ["cat", "dog", "bird"]
A, B, C = (10, 10, 59, 49), (100, 20, 179, 99), (200, 200, 299, 299)
BEST = PseudoLabelOptions(best_per_class=True)


def objects(dataset: Dataset) -> dict[str, list[tuple[str, tuple[float, ...]]]]:
    """Class and box of each object, by image."""
    found = {}
    for image in dataset.images:
        assert image.truth is not None
        names = [dataset.classes[label - 1] for label in image.truth.labels]
        found[image.image_id] = list(
            zip(names, map(tuple, image.truth.boxes.tolist()), strict=True)
        )
    return found


def labels_only(dataset: Dataset, **labels: tuple[int, ...]) -> Dataset:
    """The dataset with these labels of images and without objects."""
    images = tuple(
        replace(image, truth=None, labels=ImageLabels(labels[image.image_id]))
        for image in dataset.images
    )
    return replace(dataset, images=images)


FOUND = make_detections(
    CLASSES,
    a=[("dog", 0.9, C), ("cat", 0.6, B), ("cat", 0.3, A), ("bird", 0.2, A)],
    b=[("cat", 0.8, A), ("cat", 0.7, B)],
)


def test_the_best_detection_of_each_class_in_the_labels() -> None:
    """Of objects, only the classes count: image a has a cat and a bird, and no dog."""
    dataset = make_dataset(CLASSES, a=[("cat", C), ("bird", C), ("bird", A)], b=[("cat", C)])
    expected = {"a": [("cat", B), ("bird", A)], "b": [("cat", A)]}
    labelled, findings = pseudo_labels(dataset, FOUND, BEST)
    assert objects(labelled) == expected
    assert findings == []
    from_labels = labels_only(dataset, a=(1, 3), b=(1,))
    assert objects(pseudo_labels(from_labels, FOUND, BEST)[0]) == expected


def test_all_detections_above_a_score() -> None:
    dataset = make_dataset(CLASSES, a=[("cat", C), ("bird", C)], b=[("cat", C)])
    labelled, _ = pseudo_labels(dataset, FOUND, PseudoLabelOptions(score_threshold=0.3))
    assert objects(labelled) == {"a": [("cat", B), ("cat", A)], "b": [("cat", A), ("cat", B)]}


def test_the_best_detection_can_have_a_minimum_score() -> None:
    dataset = make_dataset(CLASSES, a=[("cat", C), ("bird", C)], b=[("cat", C)])
    options = PseudoLabelOptions(best_per_class=True, score_threshold=0.7)
    labelled, findings = pseudo_labels(dataset, FOUND, options)
    assert objects(labelled) == {"b": [("cat", A)]}
    assert [str(found) for found in findings] == [
        "1 image is skipped, without a detection to use: a"
    ]


def test_images_without_detection_are_omitted_unless_they_are_negatives() -> None:
    dataset = make_dataset(
        CLASSES, a=[("cat", C), ("dog", B)], b=[("bird", C)], negative=[], c=[("cat", C)]
    )
    found = make_detections(
        CLASSES, a=[("cat", 0.1, A)], b=[("cat", 0.8, A)], negative=[("cat", 1, A)]
    )
    labelled, findings = pseudo_labels(dataset, found, BEST)
    assert objects(labelled) == {"a": [("cat", A)], "negative": []}
    assert [str(each) for each in findings] == [
        "2 images are skipped, without a detection to use: b; c",
        "no box for 1 class in the labels of images with other objects: a (dog)",
    ]


def test_classes_of_difficult_objects_alone_are_not_used() -> None:
    dataset = make_dataset(CLASSES, a=[("cat", C, "difficult"), ("dog", C)])
    assert objects(pseudo_labels(dataset, FOUND, BEST)[0]) == {"a": [("dog", C)]}


def test_a_dataset_without_labels_takes_any_class_above_the_score() -> None:
    unlabelled = replace(make_dataset(CLASSES, a=[], b=[]), images=tuple(
        ImageRecord(name, Path(f"{name}.jpg"), 500, 500) for name in ("a", "b", "c")
    ))  # fmt: skip
    labelled, findings = pseudo_labels(unlabelled, FOUND, PseudoLabelOptions(score_threshold=0.8))
    assert objects(labelled) == {"a": [("dog", C)], "b": [("cat", A)]}
    assert findings[0].names == ("c",)
    with pytest.raises(MisuseError, match="image a has no labels"):
        pseudo_labels(unlabelled, FOUND, BEST)


def test_boxes_are_clipped_and_those_outside_are_not_used() -> None:
    """The images have 500 x 500 pixels."""
    dataset = make_dataset(CLASSES, a=[("cat", C), ("dog", C)])
    found = make_detections(
        CLASSES,
        a=[("cat", 0.9, (-9, 480, 30, 520)), ("dog", 0.8, (500, 0, 520, 9)), ("dog", 0.1, A)],
    )
    labelled, _ = pseudo_labels(dataset, found, BEST)
    assert objects(labelled) == {"a": [("cat", (0, 480, 30, 499)), ("dog", A)]}


def test_boxes_without_a_pixel_are_not_used() -> None:
    """Files of detections may have x2 = x1 - 1; the next best box of the class takes its place."""
    dataset = make_dataset(CLASSES, a=[("cat", C)], b=[("cat", C)])
    narrow, flat = (50, 10, 49, 90), (10, 50, 90, 49)
    found = make_detections(
        CLASSES,
        a=[("cat", 0.9, narrow), ("cat", 0.8, flat), ("cat", 0.7, (5, 6, 5, 6))],
        b=[("cat", 0.9, narrow)],
    )
    labelled, findings = pseudo_labels(dataset, found, BEST)
    assert objects(labelled) == {"a": [("cat", (5, 6, 5, 6))]}
    assert findings[0].names == ("b",)


def test_a_choice_is_required_and_something_to_train_on() -> None:
    with pytest.raises(MisuseError, match="detections that become objects"):
        PseudoLabelOptions()
    dataset = make_dataset(CLASSES, a=[("cat", C)])
    with pytest.raises(MisuseError, match="nothing to train on"):
        pseudo_labels(dataset, {}, BEST)


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three images with labels in a CSV file, and detections in two of them."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "images").mkdir()
    for name in ("one", "two", "three"):
        Image.new("RGB", (200, 120)).save(folder / "images" / f"{name}.png")
    rows = ["image,label", "images/one.png,cat", "images/one.png,zebra", "images/two.png,cat",
            "images/three.png,"]  # fmt: skip
    (folder / "labels.csv").write_text("\n".join(rows))
    (folder / "classes.txt").write_text("zebra\ncat\nunseen & new\n")
    entries = [
        {"image_id": name, "category_id": label, "bbox": box, "score": score}
        for name, label, box, score in (
            ("images/one", 2, [1.5, 2, 10, 20], 0.001),
            ("images/one", 2, [5, 5, 50, 50], 0.002),
            ("images/one", 1, [7.25, 8, 30, 31], 0.5),
            ("images/two", 2, [0, 0, 200, 120], 0.1),
            ("images/two", 1, [0, 0, 20, 12], 0.9),
        )
    ]
    (folder / "found.json").write_text(json.dumps(entries))
    return folder


def export(home: Path, out: Path, *options: str) -> object:
    detections = ("--detections", home / "found.json")
    return frcnn("data", "export", home / "labels.csv", out, "--as-dataset", *detections, *options)


@pytest.mark.parametrize("format", ["voc", "coco"])
def test_labels_become_a_dataset_to_train_on(format: str, home: Path, tmp_path: Path) -> None:
    """Order of classes, ids, pixels and boxes are those of the labels and the detections."""
    out = tmp_path / "pseudo"
    result = export(home, out, "--format", format, "--best-per-class")
    assert result.exit_code == 0, result.output
    assert "3 images with 3 objects" in " ".join(result.output.split())
    assert available_splits(str(out)) == {"all": True}
    read = find_dataset(str(out), "all")
    assert read.classes == ("zebra", "cat", "unseen & new")
    ids = {image.image_id.rpartition("/")[2]: image.image_id for image in read.images}
    assert sorted(objects(read)[ids["one"]]) == [
        ("cat", (5, 5, 54, 54)),
        ("zebra", (7.25, 8, 36.25, 38)),
    ]
    assert objects(read)[ids["two"]] == [("cat", (0, 0, 199, 119))]
    assert objects(read)[ids["three"]] == []
    for image in read.images:
        original = home / "images" / image.path.name
        assert image.path.read_bytes() == original.read_bytes()
        assert out in image.path.parents


@pytest.mark.parametrize("format", ["voc", "coco"])
def test_the_dataset_says_where_its_objects_are_from(
    format: str, home: Path, tmp_path: Path
) -> None:
    out = tmp_path / "pseudo"
    assert export(home, out, "--format", format, "--best-per-class").exit_code == 0
    if format == "coco":
        described = json.loads((out / "annotations/instances_all.json").read_text())["info"]
        texts = [described["description"]]
    else:
        texts = [path.read_text() for path in (out / "Annotations").rglob("*.xml")]
    assert len(texts) > 0
    for text in texts:
        assert (
            "pseudo labels: the best detection of each class of the image, from found.json" in text
        )
        assert str(tmp_path) not in text


def test_nothing_is_overwritten(home: Path, tmp_path: Path) -> None:
    for format in ("voc", "coco"):
        (tmp_path / format).write_text("precious")
        result = export(home, tmp_path / format, "--format", format, "--best-per-class")
        assert result.exit_code == 2
        assert "already exists" in result.output
        assert (tmp_path / format).read_text() == "precious"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--format", "voc"), "--best-per-class"),
        (("--format", "yolo", "--best-per-class"), "coco or voc"),
        (("--format", "csv", "--best-per-class"), "coco or voc"),
    ],
)
def test_options_that_do_not_fit(
    options: tuple[str, ...], message: str, home: Path, tmp_path: Path
) -> None:
    result = export(home, tmp_path / "out", *options)
    assert result.exit_code == 2
    assert message in result.output
    assert not (tmp_path / "out").exists()


def test_best_per_class_is_for_datasets_of_detections(home: Path, tmp_path: Path) -> None:
    start = ("data", "export", home / "labels.csv", tmp_path / "out", "--format", "voc")
    for options in (("--best-per-class",), ("--as-dataset", "--best-per-class")):
        result = frcnn(*start, *options)
        assert result.exit_code == 2
        assert "requires --" in result.output


def test_the_split_is_the_one_to_train_on(tmp_path: Path) -> None:
    """Of a dataset with a test split, trainval, with the numbers that its detections use."""
    shapes = tmp_path / "shapes"
    assert frcnn("data", "generate", shapes, "--images", 8, "--size", 96, 64).exit_code == 0
    truth = find_dataset(str(shapes), "trainval")
    labels = [next(iter(image.truth.labels[~image.truth.difficult])) for image in truth.images]
    entries = [
        {"image_id": image.image_id, "category_id": int(label), "bbox": [1, 2, 30, 20], "score": 1}
        for image, label in zip(truth.images, labels, strict=True)
    ]
    (tmp_path / "found.json").write_text(json.dumps(entries))
    result = frcnn(
        "data", "export", shapes, tmp_path / "pseudo", "--format", "coco", "--as-dataset",
        "--detections", tmp_path / "found.json", "--score-threshold", "0.5",
    )  # fmt: skip
    assert result.exit_code == 0, result.output
    read = find_dataset(str(tmp_path / "pseudo"), "trainval")
    assert [image.image_id for image in read.images] == [image.image_id for image in truth.images]
    assert read.classes == truth.classes
    assert all(np.allclose(image.truth.boxes, [[1, 2, 30, 21]]) for image in read.images)
