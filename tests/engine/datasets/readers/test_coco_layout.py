"""The COCO reader on valid and faulty json files, and on a small part of the real dataset."""

import json

import pytest
from PIL import Image

from frcnn_cli.engine.datasets.find import available_splits, default_splits, find_dataset
from frcnn_cli.engine.datasets.layout import raise_unless_image_missing
from frcnn_proposals.errors import InputError, MisuseError

IMAGE = {"id": 7, "file_name": "a.jpg", "width": 100, "height": 80}
DOG = {"id": 1, "image_id": 7, "category_id": 18, "bbox": [10.5, 20, 30, 40], "area": 500.0}
CATEGORIES = [{"id": 18, "name": "dog"}, {"id": 3, "name": "car"}]


def write_json(path, **changes):
    content = {"images": [IMAGE], "annotations": [DOG], "categories": CATEGORIES, **changes}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))
    Image.new("RGB", (100, 80)).save(path.parent / "a.jpg")
    return path


def test_boxes_classes_numbers_crowds_and_areas(tmp_path):
    crowd = {**DOG, "id": 2, "category_id": 3, "iscrowd": 1, "bbox": [0, 0, 100, 80]}
    path = write_json(tmp_path / "instances.json", annotations=[DOG, crowd])
    dataset = find_dataset(str(path), "all")
    assert dataset.classes == ("car", "dog")
    assert dataset.class_numbers == (3, 18)
    assert dataset.image_numbers == {"a": 7}
    truth = dataset.images[0].truth
    assert truth.boxes.tolist() == [[10.5, 20, 39.5, 59], [0, 0, 99, 79]]
    assert truth.labels.tolist() == [2, 1]
    assert truth.crowd.tolist() == [False, True]
    assert truth.area.tolist() == [500.0, 500.0]
    assert dataset.images[0].path == tmp_path / "a.jpg"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"annotations": [{**DOG, "bbox": [90, 20, 30, 40]}]}, "outside its 100 x 80 image"),
        ({"annotations": [{**DOG, "bbox": [90, 20, -3, 40]}]}, "annotation 1, box 90 20 -3 40"),
        ({"annotations": [{**DOG, "bbox": [90, 20, 3]}]}, "annotation 1: bbox must be 4"),
        ({"annotations": [{**DOG, "bbox": None}]}, "bbox must be 4 numbers"),
        ({"annotations": [{**DOG, "category_id": 4}]}, "a.jpg, annotation 1: unknown category_id"),
        ({"annotations": [{**DOG, "category_id": [4]}]}, "unknown category_id"),
        (
            {"annotations": [{**DOG, "image_id": 9}]},
            "1 annotation of image 9, which is not listed",
        ),
        ({"annotations": [3]}, "annotation 1: image_id is missing"),
        ({"categories": None}, "not a COCO dataset"),
        ({"categories": [{"id": 1}]}, "a category needs an id and a name"),
        ({"categories": [*CATEGORIES, {"id": 4, "name": "dog"}]}, "must be unique"),
        ({"images": []}, "lists no images"),
        ({"images": [{"id": 7}]}, "an image needs an id and a file_name"),
        ({"images": [{**IMAGE, "file_name": "../../a.jpg"}]}, "invalid file_name"),
        ({"images": [{**IMAGE, "file_name": "/etc/a.jpg"}]}, "invalid file_name"),
        ({"images": [{**IMAGE, "width": "wide"}]}, "must be integers"),
        ({"images": [IMAGE, {**IMAGE, "id": 8}]}, "two images have the name a"),
        ({"images": [{**IMAGE, "file_name": "b.jpg"}]}, "b.jpg, which is missing"),
    ],
)
def test_a_faulty_json_is_an_error_with_its_name(tmp_path, changes, words):
    path = write_json(tmp_path / "mine.json", **changes)
    with pytest.raises(InputError) as error:
        find_dataset(str(path), "all")
    assert words in str(error.value)
    assert "mine.json" in str(error.value)


def test_a_box_without_area_is_skipped_and_a_slight_excess_is_not_clipped(tmp_path):
    annotations = [{**DOG, "bbox": [1, 1, 0, 9]}, {**DOG, "bbox": [90, 0, 10.5, 9]}]
    path = write_json(tmp_path / "mine.json", annotations=annotations)
    (image,) = find_dataset(str(path), "all").images
    assert image.truth.boxes.tolist() == [[90, 0, 99.5, 8]]


def test_missing_images_can_be_ignored(tmp_path):
    path = write_json(tmp_path / "mine.json")
    (tmp_path / "a.jpg").unlink()
    assert len(find_dataset(str(path), "all", report=raise_unless_image_missing)) == 1
    with pytest.raises(InputError):
        find_dataset(str(path), "all")


def test_a_json_without_annotations_is_an_unannotated_split(tmp_path):
    path = write_json(tmp_path / "annotations" / "image_info_test2017.json", annotations=None)
    assert available_splits(str(path)) == {"test": False}
    assert find_dataset(str(path), "test").images[0].truth is None


def test_splits_are_found_by_file_and_folder_names(tmp_path):
    for split in ("train", "valid"):
        write_json(tmp_path / "export" / split / "_annotations.coco.json")
    assert available_splits(str(tmp_path / "export")) == {
        "train": True,
        "val": True,
        "trainval": True,
    }
    for year in ("2014", "2017"):
        write_json(tmp_path / "both" / "annotations" / f"instances_val{year}.json")
    with pytest.raises(MisuseError, match="are both val"):
        available_splits(str(tmp_path / "both"))


def test_a_part_of_the_real_dataset(shared_data):
    root = str(shared_data / "coco-tiny")
    assert default_splits(root).evaluation == "val"
    dataset = find_dataset(root, "val")
    assert (len(dataset), len(dataset.classes)) == (50, 80)
    assert dataset.class_numbers[-1] == 90
    assert dataset.image_numbers["000000397133"] == 397133
    assert sum(len(image.truth) for image in dataset.images) == 382
    assert sum(int(image.truth.crowd.sum()) for image in dataset.images) == 5
    assert all(image.path.is_file() for image in dataset.images)
    trainval = find_dataset(root, "trainval")
    assert len(trainval) == len(trainval.image_numbers) == 100
