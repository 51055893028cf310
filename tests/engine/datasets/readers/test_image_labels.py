"""Datasets with labels of images: CSV files, and a folder per class."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image

from frcnn_cli.engine.datasets.find import available_splits, default_splits, find_dataset
from frcnn_cli.engine.datasets.fingerprint import Fingerprint
from frcnn_cli.engine.datasets.layout import Fault
from frcnn_cli.engine.datasets.layouts import layouts_in
from frcnn_cli.engine.records import Dataset
from frcnn_cli.engine.training.weak.labels import without_boxes
from frcnn_proposals.errors import InputError, MisuseError


def images(folder: Path, *names: str) -> Path:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (8, 6)).save(path)
    return folder


def table(folder: Path, *rows: str, name: str = "labels.csv") -> Path:
    path = folder / name
    path.write_text("\n".join(rows) + "\n")
    return path


def labels(dataset: Dataset) -> dict[str, list[str]]:
    """The names of the classes by image id."""
    found = {}
    for record in dataset.images:
        assert record.labels is not None
        assert record.truth is None
        found[record.image_id] = [dataset.classes[label - 1] for label in record.labels.present]
    return found


def test_a_table_has_several_rows_per_image(tmp_path: Path) -> None:
    images(tmp_path, "b.jpg", "in/a.png", "c.jpg")
    path = table(tmp_path, "Label, image", "dog,b.jpg", "cat,in/a.png", "cat, b.jpg", ",c.jpg")
    data = find_dataset(str(path), "all")
    assert data.classes == ("cat", "dog")
    assert labels(data) == {"b": ["cat", "dog"], "in/a": ["cat"], "c": []}
    assert [record.path for record in data.images] == [
        tmp_path / name for name in ("b.jpg", "in/a.png", "c.jpg")
    ]


def test_classes_beside_a_table_give_the_order(tmp_path: Path) -> None:
    images(tmp_path, "a.jpg", "b.jpg")
    (tmp_path / "classes.txt").write_text("dog\ncat\n")
    path = table(tmp_path, "image,label", "a.jpg,cat", "b.jpg,cow")
    faults: list[Fault] = []
    data = find_dataset(str(path), "all", report=faults.append)
    assert (data.classes, labels(data)) == (("dog", "cat"), {"a": ["cat"], "b": []})
    assert [str(fault) for fault in faults] == [f"{path}: b: 'cow' is not in classes.txt"]
    with pytest.raises(InputError, match=r"'cow' is not in classes\.txt"):
        find_dataset(str(path), "all")


def test_rows_of_missing_images_are_reported(tmp_path: Path) -> None:
    path = table(images(tmp_path, "a.jpg"), "image,label", "a.jpg,cat", "x.jpg,cat")
    faults: list[Fault] = []
    data = find_dataset(str(path), "all", report=faults.append)
    assert [fault.missing_image for fault in faults] == [True]
    assert "the labels of x are for an unknown image" in str(faults[0])
    assert len(data) == 2


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (["a.jpg,cat"], "expected the columns image and label"),
        (["image,label"], "contains no images"),
        (["image,label", "a.jpg,"], "no image has a label"),
        (["image,label", "../a.jpg,cat"], "line 2: '../a.jpg' is not the path of an image below"),
        (["image,label", "/a.jpg,cat"], "line 2: '/a.jpg' is not"),
        (["image,label", ",cat"], "line 2: '' is not"),
        ([""], "contains nothing"),
        (["image,label", "a" * 200_000 + ",cat"], "field larger than field limit"),
    ],
)
def test_other_tables_are_rejected(tmp_path: Path, rows: list[str], message: str) -> None:
    path = table(images(tmp_path, "a.jpg"), *rows)
    with pytest.raises(InputError, match=message):
        find_dataset(str(path), "all")


def test_the_folder_of_an_image_is_its_class(tmp_path: Path) -> None:
    images(tmp_path, "dog/1.jpg", "cat/1.jpg", "cat/2.png", "none.jpg")
    (tmp_path / "empty").mkdir()
    data = find_dataset(str(tmp_path), "all")
    assert data.classes == ("cat", "dog", "empty")
    assert labels(data) == {"none": [], "cat/1": ["cat"], "cat/2": ["cat"], "dog/1": ["dog"]}


def test_folders_of_splits_have_the_same_classes(tmp_path: Path) -> None:
    images(tmp_path, "train/cat/1.jpg", "train/dog/1.jpg", "val/cow/1.jpg", "val/dog/1.jpg")
    assert available_splits(str(tmp_path)) == {"train": False, "val": False, "trainval": False}
    data = find_dataset(str(tmp_path), "trainval")
    assert data.classes == ("cat", "cow", "dog")
    assert labels(data) == {
        "cat/1": ["cat"], "train/dog/1": ["dog"], "cow/1": ["cow"], "val/dog/1": ["dog"],
    }  # fmt: skip


def test_labels_suffice_only_where_they_are_enough(tmp_path: Path) -> None:
    images(tmp_path, "train/cat/1.jpg", "train/dog/1.jpg", "test/cat/1.jpg", "test/dog/1.jpg")
    assert default_splits(str(tmp_path), labels_suffice=True).training == "train"
    with pytest.raises(MisuseError, match="train with --variant wsddn or --variant oicr"):
        default_splits(str(tmp_path))


def test_folders_of_images_stay_images_elsewhere(tmp_path: Path) -> None:
    """`frcnn propose FOLDER` reads all images below a folder, whatever its folders are."""
    images(tmp_path, "cat/1.jpg", "dog/1.jpg")
    table(tmp_path, "image,label", "cat/1.jpg,cat")
    assert layouts_in(tmp_path) == []
    assert layouts_in(tmp_path / "labels.csv") == []


def test_a_folder_with_a_dataset_in_it_is_not_one_itself(tmp_path: Path) -> None:
    images(tmp_path, "shapes/images/1.jpg", "other/1.jpg", "more/1.jpg")
    (tmp_path / "shapes" / "labels").mkdir()
    (tmp_path / "shapes" / "labels" / "1.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    (tmp_path / "shapes" / "classes.txt").write_text("cat\n")
    with pytest.raises(MisuseError, match=f"but {tmp_path / 'shapes'} is one"):
        find_dataset(str(tmp_path), "all")


def test_a_union_renumbers_labels_and_a_fingerprint_contains_them(tmp_path: Path) -> None:
    images(tmp_path / "x", "cat/1.jpg", "dog/2.jpg")
    images(tmp_path / "y", "ant/3.jpg", "dog/4.jpg")
    data = find_dataset(f"{tmp_path / 'x'}+{tmp_path / 'y'}", "all")
    assert data.classes == ("cat", "dog", "ant")
    assert labels(data) == {
        "cat/1": ["cat"], "dog/2": ["dog"], "ant/3": ["ant"], "dog/4": ["dog"],
    }  # fmt: skip
    path = table(images(tmp_path, "a.jpg", "b.jpg"), "image,label", "a.jpg,cat", "b.jpg,dog")
    before = Fingerprint.of(find_dataset(str(path), "all"))
    table(tmp_path, "image,label", "a.jpg,cat", "b.jpg,dog", "b.jpg,cat")
    assert before.differences(find_dataset(str(path), "all"), {}) == [
        "1 image has another size or other objects (b)"
    ]


def voc_lists(root: Path, **lists: str) -> Path:
    """A VOC folder of the images a, b and c without annotations. lists: content by name."""
    (root / "JPEGImages").mkdir(parents=True)
    for name in "abc":
        Image.new("RGB", (32, 24)).save(root / "JPEGImages" / f"{name}.jpg")
    (root / "ImageSets" / "Main").mkdir(parents=True)
    for name, content in lists.items():
        (root / "ImageSets" / "Main" / f"{name}.txt").write_text(content)
    return root


def labels_in(root: Path, split: str) -> dict[str, tuple[tuple[int, ...], tuple[int, ...]]]:
    return {
        image.image_id: (image.labels.present, image.labels.uncertain)
        for image in find_dataset(str(root), split).images
        if image.labels is not None
    }


def test_lists_per_class_of_voc_are_labels_without_annotations(tmp_path: Path) -> None:
    """1 is present, -1 absent, 0 uncertain, as VOC writes them; trainval combines two splits."""
    root = voc_lists(
        tmp_path / "voc",
        train="a\nb\n",
        val="c\n",
        dog_train="a  1\nb -1\n",
        cat_train="a  0\nb -1\n",
        cat_val="c  1\n",
        dog_val="c  1\n",
    )
    assert find_dataset(str(root), "train").classes == ("cat", "dog")
    assert labels_in(root, "train") == {"a": ((2,), (1,)), "b": ((), ())}
    assert labels_in(root, "trainval")["c"] == ((1, 2), ())
    assert default_splits(str(root), labels_suffice=True).training == "trainval"
    with pytest.raises(MisuseError, match="It has labels of images"):
        default_splits(str(root))


def test_lists_per_class_alone_are_splits_and_labels(tmp_path: Path) -> None:
    root = voc_lists(tmp_path / "voc", cat_train="a 1\nb -1\n", dog_train="b 1\nc -1\n")
    assert labels_in(root, "train") == {"a": ((1,), ()), "b": ((2,), ()), "c": ((), ())}


def test_classes_txt_orders_the_classes_of_the_lists(tmp_path: Path) -> None:
    root = voc_lists(tmp_path / "voc", train="a\n", cat_train="a 1\n", zebra_train="a -1\n")
    (root / "classes.txt").write_text("zebra\ncat\n")
    faults: list[Fault] = []
    find_dataset(str(root), "train", report=faults.append)
    assert labels_in(root, "train") == {"a": ((2,), ())}
    assert faults == []


def test_lists_of_unknown_classes_and_classes_without_a_list_are_named(tmp_path: Path) -> None:
    root = voc_lists(tmp_path / "voc", train="a\n", cat_train="a 1\n", mine_train="a 1\n")
    (root / "classes.txt").write_text("zebra\ncat\nant\n")
    faults: list[Fault] = []
    (image,) = find_dataset(str(root), "train", report=faults.append).images
    assert image.labels is not None
    assert image.labels.present == (2,)
    unknown, missing = faults
    folder = root / "ImageSets" / "Main"
    assert str(unknown) == (
        f"{folder / 'mine_train.txt'}: list of an unknown class; the classes are zebra, cat, ant"
    )
    assert str(missing) == (
        f"{folder}: classes without a list of labels for the split train, which count as absent "
        "from its images: zebra, ant"
    )
    assert not unknown.tolerated
    assert missing.tolerated
    with pytest.raises(InputError, match="mine_train"):
        find_dataset(str(root), "train")


def test_an_image_in_no_list_of_a_class_has_no_labels(tmp_path: Path) -> None:
    root = voc_lists(tmp_path / "voc", train="a\nb\n", cat_train="a 1\n")
    with pytest.raises(MisuseError, match="image b has neither labels"):
        without_boxes(find_dataset(str(root), "train"))


def test_annotations_come_before_lists_per_class(tmp_path: Path) -> None:
    root = voc_lists(tmp_path / "voc", train="a\n", cat_train="a -1\n", dog_train="a 1\n")
    (root / "Annotations").mkdir()
    box = "<bndbox><xmin>1</xmin><ymin>1</ymin><xmax>9</xmax><ymax>9</ymax></bndbox>"
    (root / "Annotations" / "a.xml").write_text(
        f"<annotation><object><name>cat</name>{box}</object></annotation>"
    )
    (image,) = find_dataset(str(root), "train").images
    assert image.labels is None
    assert image.truth is not None
    assert find_dataset(str(root), "train").classes == ("cat",)


def test_lists_per_class_with_and_without_a_column(tmp_path: Path) -> None:
    """Names of images alone are a list of a split; a mixture is an error."""
    bare = voc_lists(tmp_path / "bare", train="a\n", cat_train="a\nb\n")
    (bare / "classes.txt").write_text("cat\n")
    assert labels_in(bare, "train") == {}
    mixed = voc_lists(tmp_path / "mixed", train="a\n", cat_train="a 1\nb\n")
    with pytest.raises(InputError, match="'b' has no second column"):
        find_dataset(str(mixed), "train")
