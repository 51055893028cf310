"""COCO json files as labelling tools and scripts write them."""

import json

import numpy as np
import pytest
from PIL import Image
from reporters import RecordingReporter

from frcnn_cli.engine.datasets.check import check_dataset
from frcnn_cli.engine.datasets.export.dataset import export_dataset
from frcnn_cli.engine.datasets.find import find_dataset
from frcnn_cli.engine.datasets.open import open_dataset
from frcnn_proposals.errors import InputError, MisuseError

BOX = [10, 20, 30, 40]
INSIDE = [[10, 20, 39, 59]]


def image(number, name="a.jpg", **more):
    return {"id": number, "file_name": name, "width": 100, "height": 80, **more}


def thing(number, image_id, category_id=1, **more):
    return {"id": number, "image_id": image_id, "category_id": category_id, "bbox": BOX, **more}


CAT = {"id": 1, "name": "cat"}


def write(path, images, annotations, categories=(CAT,), files=("a.jpg", "b.jpg")):
    """Write the json, and images next to it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {"images": images, "annotations": annotations, "categories": categories}
    path.write_text(json.dumps(content))
    for name in files:
        file = path.parent / name
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (100, 80)).save(file)
    return str(path)


def read(path, split="all", report=None):
    dataset = find_dataset(path, split, **({} if report is None else {"report": report}))
    return {item.image_id: item.truth.boxes.tolist() for item in dataset.images}


# Numbers that occur twice.


def test_two_images_with_one_number_get_no_boxes(tmp_path):
    """No box moves to another image: of neither is it known which boxes it has."""
    path = write(
        tmp_path / "mine.json",
        [image(1), image(1, "b.jpg"), image(2, "c.jpg")],
        [thing(1, 1), thing(2, 1), thing(3, 2)],
        files=("a.jpg", "b.jpg", "c.jpg"),
    )
    words = "images a.jpg and b.jpg both have the id 1"
    with pytest.raises(InputError, match=words):
        open_dataset(path, "all")
    report = check_dataset(path)
    assert not report.sound
    assert [fault.message for fault in report.faults if not fault.tolerated] == [words]
    reporter = RecordingReporter()
    dataset = open_dataset(path, "all", allow_mismatch=True, reporter=reporter)
    assert {item.image_id: len(item.truth) for item in dataset.images} == {"c": 1}
    assert words in reporter.warnings[0]


@pytest.mark.parametrize("check", [open_dataset, find_dataset])
def test_two_categories_with_one_number_are_an_error(tmp_path, check):
    categories = [CAT, {"id": 1, "name": "dog"}]
    path = write(tmp_path / "mine.json", [image(1)], [thing(1, 1)], categories)
    with pytest.raises(InputError, match="categories 'cat' and 'dog' both have the id 1"):
        check(path, "all")


def test_what_occurs_twice_without_a_contradiction_is_used_once(tmp_path):
    path = write(
        tmp_path / "mine.json", [image(1), image(1)], [thing(1, 1), thing(1, 1)], [CAT, CAT]
    )
    faults = []
    assert read(path, report=faults.append) == {"a": INSIDE * 2}
    assert [(fault.message, fault.tolerated) for fault in faults] == [
        (
            "annotations with the same id (1): all of them are read",
            True,
        ),
        ("image a.jpg is listed twice", True),
    ]


@pytest.mark.parametrize("part", ["images", "annotations", "categories"])
def test_two_lists_of_one_name_are_an_error(tmp_path, part):
    path = write(tmp_path / "mine.json", [image(1)], [thing(1, 1)])
    text = (tmp_path / "mine.json").read_text()
    (tmp_path / "mine.json").write_text(f'{text[:-1]}, "{part}": []}}')
    with pytest.raises(InputError, match=f"the key '{part}' occurs twice in an object"):
        read(path)
    # A name like that of a list is no second list.
    write(tmp_path / "mine.json", [image(1)], [thing(1, 1)], [{"id": 1, "name": part}])
    assert read(path) == {"a": INSIDE}


def test_one_image_with_two_numbers_is_one_fault(tmp_path):
    path = write(tmp_path / "mine.json", [image(1), image(2)], [thing(1, 1), thing(2, 2)])
    faults = []
    read(path, report=faults.append)
    assert [fault.message for fault in faults] == [
        "two images have the name a.jpg: their ids are 1 and 2"
    ]


def test_splits_that_both_count_from_1_are_numbered_anew(tmp_path):
    for split, name in (("train", "a.jpg"), ("valid", "b.jpg")):
        write(tmp_path / split / "_annotations.coco.json", [image(1, name)], [thing(1, 1)])
    dataset = find_dataset(str(tmp_path), "trainval")
    assert dataset.image_numbers == {"a": 1, "b": 2}
    export_dataset(dataset, tmp_path / "all.json", "coco")
    written = json.loads((tmp_path / "all.json").read_text())
    assert [entry["image_id"] for entry in written["annotations"]] == [1, 2]


# Ids, sizes and flags of other types.


def test_ids_as_text(tmp_path):
    path = write(
        tmp_path / "mine.json",
        [image("7"), image("8.0", "b.jpg")],
        [thing("1", 7, "3"), thing("2", "7", 3.0), thing("3", "8.0", 10)],
        [{"id": "10", "name": "cat"}, {"id": "3", "name": "dog"}],
    )
    dataset = find_dataset(path, "all")
    assert [len(item.truth) for item in dataset.images] == [2, 1]
    assert dataset.classes == ("dog", "cat")
    assert dataset.class_numbers == (3, 10)
    assert dataset.images[1].truth.labels.tolist() == [2]
    # Not every id is a number: images are counted.
    assert dataset.image_numbers == {"a": 1, "b": 2}


def test_categories_with_names_as_ids_keep_their_order(tmp_path):
    categories = [{"id": "z", "name": "cat"}, {"id": "b", "name": "dog"}]
    path = write(tmp_path / "mine.json", [image("x")], [thing(1, "x", "b")], categories)
    dataset = find_dataset(path, "all")
    assert (dataset.classes, dataset.class_numbers) == (("cat", "dog"), (1, 2))
    assert dataset.images[0].truth.labels.tolist() == [2]


@pytest.mark.parametrize("value", [None, True, [1], {"a": 1}, 1.5, "", "\ud800", 1e300], ids=repr)
def test_other_ids_are_an_error(tmp_path, value):
    with pytest.raises(InputError, match=r"must be integers|needs an id"):
        read(write(tmp_path / "mine.json", [image(value)], []))
    with pytest.raises(InputError, match="must be an integer"):
        read(write(tmp_path / "mine.json", [image(1)], [], [{"id": value, "name": "cat"}]))


@pytest.mark.parametrize("length", [None, 0, "0", ""])
def test_a_size_that_is_not_known(tmp_path, length):
    path = write(tmp_path / "mine.json", [image(1, width=length, height=length)], [thing(1, 1)])
    (record,) = open_dataset(path, "all").images
    assert (record.width, record.height) == (None, None)
    assert record.truth.boxes.tolist() == INSIDE


def test_a_size_as_text_or_with_a_decimal_point(tmp_path):
    path = write(tmp_path / "mine.json", [image(1, width="100", height=80.0)], [thing(1, 1)])
    (record,) = find_dataset(path, "all").images
    assert (record.width, record.height) == (100, 80)


@pytest.mark.parametrize(
    ("value", "is_crowd"),
    [("0", False), ("1", True), (False, False), (True, True), (0.0, False), ("false", False)],
)
def test_flags(tmp_path, value, is_crowd):
    path = write(tmp_path / "mine.json", [image(1)], [thing(1, 1, iscrowd=value)])
    (record,) = find_dataset(path, "all").images
    assert record.truth.crowd.tolist() == [is_crowd]


@pytest.mark.parametrize("value", ["no", 2, [1], -1])
@pytest.mark.parametrize("name", ["iscrowd", "difficult"])
def test_another_flag_is_reported_and_not_set(tmp_path, name, value):
    path = write(tmp_path / "mine.json", [image(1)], [thing(1, 1, **{name: value})])
    faults = []
    (record,) = find_dataset(path, "all", report=faults.append).images
    assert not (record.truth.crowd | record.truth.difficult).any()
    (fault,) = faults
    assert fault.tolerated
    assert f"a.jpg, annotation 1: {name} is " in fault.message


# Boxes of segmentations.


@pytest.mark.parametrize("bbox", ["absent", [], None])
def test_the_box_of_polygons(tmp_path, bbox):
    polygons = [[10, 20, 40, 20, 40, 60], [15, 30, 20, 30, 20, 40]]
    entry = thing(1, 1, bbox=bbox, segmentation=polygons)
    if bbox == "absent":
        del entry["bbox"]
    path = write(tmp_path / "mine.json", [image(1)], [entry])
    assert read(path) == {"a": INSIDE}
    entry["segmentation"] = polygons[0]  # not in a list, as one tool writes a single polygon
    assert read(write(tmp_path / "mine.json", [image(1)], [entry])) == {"a": INSIDE}


def test_the_box_of_a_mask(tmp_path):
    """Run lengths, column by column, and as pycocotools compresses them."""
    mask = pytest.importorskip("pycocotools.mask")
    pixels = np.zeros((80, 100), np.uint8, order="F")
    pixels[20:60, 10:40] = 1
    column_wise = pixels.ravel(order="F")
    runs = np.diff(np.flatnonzero(np.diff(column_wise, prepend=0, append=2)), prepend=0).tolist()
    for counts in (runs, mask.encode(pixels)["counts"].decode()):
        segmentation = {"size": [80, 100], "counts": counts}
        entry = thing(1, 1, bbox=[], iscrowd=1, segmentation=segmentation)
        assert read(write(tmp_path / "mine.json", [image(1)], [entry])) == {"a": INSIDE}


@pytest.mark.parametrize(
    ("segmentation", "words"),
    [
        (None, "bbox must be 4 numbers, or a segmentation given"),
        ([], "bbox must be 4 numbers, or a segmentation given"),
        ([[]], "its polygons need an x and a y"),
        ([[1, 2, 3]], "its polygons need an x and a y"),
        ([["a", "b"]], "its polygons are not lists of numbers"),
        ([1, 2, [3]], "its polygons are not lists of numbers"),
        ([[1e999, 1, 2, 3]], "bbox must be 4 numbers, none of them infinite"),
        ({"size": [4, 4]}, "its run lengths are not whole numbers"),
        ({"size": [4, 4], "counts": [16]}, "its segmentation has no pixels"),
        ({"size": [4, 4], "counts": "~~~~"}, "its compressed run lengths are damaged"),
        ("x", "neither run lengths nor polygons"),
        (3, "neither run lengths nor polygons"),
    ],
)
def test_neither_box_nor_segmentation_is_an_error(tmp_path, segmentation, words):
    entry = thing(1, 1, bbox=None, segmentation=segmentation)
    path = write(tmp_path / "mine.json", [image(1)], [entry])
    with pytest.raises(InputError, match=words):
        read(path)


# File names.


@pytest.mark.parametrize("where", ["folder", "file"])
def test_label_studio(tmp_path, where):
    """As exported on Windows, with a json called result.json."""
    names = ("images/a.jpg", "images/1/b.jpg")
    path = write(
        tmp_path / "result.json",
        [image(1, "images\\a.jpg"), image(2, "images\\1/b.jpg")],
        [thing(1, 1), thing(2, 2)],
        files=names,
    )
    root = path if where == "file" else str(tmp_path)
    dataset = open_dataset(root, "all")
    assert [item.image_id for item in dataset.images] == ["images/a", "images/1/b"]
    assert [item.path.relative_to(tmp_path).as_posix() for item in dataset.images] == list(names)


def test_detections_called_result_json_are_no_dataset(tmp_path):
    (tmp_path / "result.json").write_text("[]")
    with pytest.raises(MisuseError, match="not a dataset"):
        find_dataset(str(tmp_path), "all")


@pytest.mark.parametrize("inner", ["annotations/train.json", "train/_annotations.coco.json"])
def test_names_with_dots_and_absolute_names_inside_the_dataset(tmp_path, inner):
    names = ["../images/a.jpg", str(tmp_path / "images/b.jpg"), "..\\images\\c.jpg"]
    images = [image(number, name) for number, name in enumerate(names, start=1)]
    files = [f"../images/{name}.jpg" for name in "abc"]
    path = write(tmp_path / inner, images, [thing(1, 2)], files=files)
    for root in (path, str(tmp_path)):
        dataset = open_dataset(root, "train")
        assert [item.image_id for item in dataset.images] == ["images/a", "images/b", "images/c"]
        assert all(item.path.is_file() for item in dataset.images)


@pytest.mark.parametrize(
    "name",
    [
        "../a.jpg",
        "..\\..\\media\\upload\\a.jpg",
        "/etc/a.jpg",
        "C:\\data\\a.jpg",
        "images/../../a.jpg",
        "..",
        "",
        "a\0.jpg",
        3,
    ],
)
def test_names_that_lead_out_of_the_dataset_are_an_error(tmp_path, name):
    Image.new("RGB", (100, 80)).save(tmp_path / "a.jpg")
    path = write(tmp_path / "mine" / "result.json", [image(1, name)], [])
    for root in (path, str(tmp_path / "mine")):
        with pytest.raises(InputError, match=r"image 1: invalid file_name(.|\n)*Expected the path"):
            find_dataset(root, "all")
