"""The YOLO reader: folder layouts, labels and faulty files."""

import sys

import numpy as np
import pytest
from PIL import Image

from frcnn_cli.engine.datasets.find import available_splits, find_dataset
from frcnn_proposals.errors import InputError

pytest.importorskip("yaml")


def write_image(path, size=(100, 80)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size).save(path)
    return path


def write_label(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def one_image(root, text, yaml="names: [cat, dog]\ntrain: images/train\n"):
    write_image(root / "images/train/1.jpg")
    write_label(root / "labels/train/1.txt", text)
    (root / "data.yaml").write_text(yaml)
    return str(root)


def test_fractions_become_inclusive_pixels(tmp_path):
    dataset = find_dataset(
        one_image(tmp_path, "1 0.5 0.5 0.5 0.5\n\n0 0.005 0.5 0.01 1\n"), "train"
    )
    truth = dataset.images[0].truth
    assert np.allclose(truth.boxes, [[25, 20, 74, 59], [0, 0, 0, 79]], atol=1e-4)
    assert truth.labels.tolist() == [2, 1]
    assert dataset.classes == ("cat", "dog")
    assert (dataset.images[0].width, dataset.images[0].height) == (100, 80)


def test_a_polygon_becomes_its_bounding_box(tmp_path):
    root = one_image(tmp_path, "0 0.1 0.1 0.3 0.1 0.2 0.5")
    truth = find_dataset(root, "train").images[0].truth
    assert np.allclose(truth.boxes, [[10, 8, 29, 39]], atol=1e-4)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("0 0.5 0.5 0.1", "line 1: expected"),
        ("0 0.5 0.5 0.1 nan", "line 1: expected"),
        ("0 0.5 0.5 0.1 0.1\n2 0.5 0.5 0.1 0.1", "line 2: class 2 is not one of 0..1"),
        ("0.5 0.5 0.5 0.1 0.1", "class 0.5 is not one of"),
        ("0 0.5 0.5 -0.1 0.1", "negative width or height"),
        ("0 0.9 0.5 0.5 0.1", "outside its 100 x 80 image"),
        ("0 50 40 20 20", "outside its 100 x 80 image"),
    ],
)
def test_a_faulty_label_is_an_error_with_its_file(tmp_path, text, words):
    with pytest.raises(InputError) as error:
        find_dataset(one_image(tmp_path, text), "train")
    assert words in str(error.value)
    assert "1.txt" in str(error.value)


@pytest.mark.parametrize(
    ("yaml", "words"),
    [
        ("names: [cat, cat]\ntrain: images/train", "lists a class twice"),
        ("names: 3\ntrain: images/train", "names must list the classes"),
        ("names: [cat, dog]", "has no train, val or test"),
        ("names: [cat, dog]\ntrain: nowhere", "nowhere of split train does not exist"),
        ("[}", "not a readable yaml"),
        ("- 1", "expected names"),
        ("!!python/object/apply:os.system ['true']", "not a readable yaml"),
    ],
)
def test_a_faulty_data_yaml_is_an_error(tmp_path, yaml, words):
    with pytest.raises(InputError, match=words):
        find_dataset(one_image(tmp_path, "", yaml), "train")


def test_an_image_without_label_file_has_no_objects_and_a_split_without_any_no_annotations(
    tmp_path,
):
    root = one_image(tmp_path, "0 0.5 0.5 0.5 0.5", "names: {0: cat}\ntrain: images/train\ntest: t")
    write_image(tmp_path / "images/train/2.jpg")
    write_image(tmp_path / "t/3.jpg")
    assert [len(image.truth) for image in find_dataset(root, "train").images] == [1, 0]
    assert find_dataset(root, "test").images[0].truth is None
    assert available_splits(root) == {"train": True, "test": False}


@pytest.mark.parametrize("style", ["images/{}/", "{}/images/"])
def test_folders_without_a_data_yaml(tmp_path, style):
    for split, name in (("train", "1"), ("valid", "2")):
        folder = style.format(split)
        write_image(tmp_path / f"{folder}{name}.jpg")
        write_label(
            tmp_path / f"{folder}{name}.txt".replace("images", "labels"), "0 0.5 0.5 0.5 0.5"
        )
    (tmp_path / "classes.txt").write_text("cat\n")
    (tmp_path / "labels").mkdir(exist_ok=True)
    assert find_dataset(str(tmp_path), "val").images[0].image_id == "2"
    assert available_splits(str(tmp_path)) == {"train": True, "val": True, "trainval": True}


def test_a_list_of_images_and_the_relative_paths_of_exports(tmp_path):
    root = one_image(tmp_path / "a", "", "names: [cat]\ntrain: list.txt\nval: ../images/train")
    (tmp_path / "a/list.txt").write_text("images/train/1.jpg\n")
    assert find_dataset(root, "train").images[0].image_id == "1"
    assert find_dataset(root, "val").images[0].image_id == "1"


def test_the_size_follows_the_exif_rotation(tmp_path):
    root = one_image(tmp_path, "0 0.5 0.5 1 1")
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (100, 80)).save(tmp_path / "images/train/1.jpg", exif=exif)
    (image,) = find_dataset(root, "train").images
    assert (image.width, image.height) == (80, 100)
    assert image.truth.boxes.tolist() == [[0, 0, 79, 99]]


def test_without_pyyaml_the_error_names_the_command_to_install_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "yaml", None)
    with pytest.raises(InputError, match=r"data\.yaml: reading it needs PyYAML: pip install"):
        find_dataset(one_image(tmp_path, ""), "train")
