"""The lists in ImageSets/Main as labelling tools write them."""

import pytest
from folders import write_voc
from PIL import Image

from frcnn_cli.engine.datasets.check import check_dataset
from frcnn_cli.engine.datasets.find import available_splits, find_dataset
from frcnn_cli.engine.datasets.inputs import read_image_set
from frcnn_cli.engine.datasets.locate import list_datasets
from frcnn_proposals.errors import InputError

CAT = ("cat", (1, 1, 50, 60))


def voc(root, names, **lists):
    """A VOC folder with these images. lists: the content of each list, by name."""
    write_voc(root, {"train": names}, {name: [CAT] for name in names})
    (root / "ImageSets/Main/train.txt").unlink()
    for name, content in lists.items():
        (root / f"ImageSets/Main/{name}.txt").write_text(content)
    return root


def ids(root, split):
    return [image.image_id for image in find_dataset(str(root), split).images]


@pytest.mark.parametrize(
    ("name", "split"),
    [("default", "all"), ("Train", "train"), ("Validation", "val"), ("TEST", "test")],
)
def test_a_list_is_named_after_its_split_whatever_the_case(tmp_path, name, split):
    root = voc(tmp_path / "d", ["a", "b"], **{name: "a\nb\n"})
    assert available_splits(str(root)) == {split: True}
    assert ids(root, split) == ["a", "b"]


def test_the_exact_name_comes_first(tmp_path):
    root = voc(tmp_path / "d", ["a", "b"], train="a\n", Train="b\n", train2="b\n", cat_train="b\n")
    assert ids(root, "train") == ["a"]
    assert list(available_splits(str(root))) == ["train"]


def test_lists_per_class_are_used_if_there_are_no_others(tmp_path):
    root = voc(
        tmp_path / "d",
        ["a", "b", "c"],
        cat_train="a.jpg 1\nb.jpg -1\n",
        dog_train="b.jpg 1\na.jpg -1\n",
        cat_val="c.jpg 1\n",
    )
    faults = []
    found = find_dataset(str(root), "train", report=faults.append)
    assert [image.image_id for image in found.images] == ["a", "b"]
    assert "train is read from cat_train.txt, dog_train.txt" in str(faults[0])
    assert check_dataset(str(root)).sound


@pytest.mark.parametrize("lists", [{}, {"mine": "a\n", "holdout": "b\n"}])
def test_without_a_list_of_a_split_the_error_names_the_lists(tmp_path, lists):
    root = voc(tmp_path / "d", ["a", "b"], **lists)
    words = "contains holdout.txt, mine.txt" if lists else "contains no list"
    for work in (available_splits, check_dataset):
        with pytest.raises(InputError, match=words):
            work(str(root))
    (found,) = list_datasets(tmp_path)
    assert words in found.problem


@pytest.mark.parametrize(
    ("line", "image_id"),
    [
        ("a.jpg", "a"),
        ("a.JPG 1", "a"),
        ("holiday (1)", "holiday (1)"),
        ("holiday (1).jpg -1", "holiday (1)"),
        ("photo 1", "photo 1"),
        ("photo 1 1", "photo 1"),
        ("photo 1.jpg  0", "photo 1"),
        ("share/cam1/a", "share/cam1/a"),
        ("share/cam1/a.jpg 1", "share/cam1/a"),
        ("v1.5", "v1.5"),
    ],
)
def test_a_line_is_an_id_or_a_file_name_with_a_column_or_without(tmp_path, line, image_id):
    root = tmp_path / "d"
    for folder in ("Annotations", "JPEGImages"):
        (root / folder / "share/cam1").mkdir(parents=True)
    voc(root, ["a", "holiday (1)", "photo 1", "photo", "share/cam1/a", "v1.5"], train=f"{line}\n")
    (image,) = find_dataset(str(root), "train").images
    assert image.image_id == image_id
    assert image.path == root / f"JPEGImages/{image_id}.jpg"
    assert len(image.truth) == 1
    assert read_image_set(root / "ImageSets/Main/train.txt") == [image_id]


def test_an_image_set_elsewhere_has_the_same_ids(tmp_path):
    (tmp_path / "list.txt").write_text("a.jpg\nb.jpg 1\nc -1\nd.jpg\nd.png\n")
    assert read_image_set(tmp_path / "list.txt") == ["a", "b", "c", "d.jpg", "d.png"]


def test_images_that_differ_only_in_suffix_keep_it(tmp_path):
    root = voc(tmp_path / "d", ["a", "b"], train="a.jpg\nb\n", val="a.png\n")
    Image.new("RGB", (100, 80)).save(root / "JPEGImages/a.png")
    assert ids(root, "train") == ["a.jpg", "b"]
    (image,) = find_dataset(str(root), "val").images
    assert (image.image_id, image.path.name, len(image.truth)) == ("a.png", "a.png", 1)
    assert read_image_set(root / "ImageSets/Main/train.txt") == ["a.jpg", "b"]


def test_a_name_that_two_images_have_is_reported(tmp_path):
    root = voc(tmp_path / "d", ["a"], train="a\n")
    Image.new("RGB", (100, 80)).save(root / "JPEGImages/a.png")
    (fault,) = check_dataset(str(root)).faults
    assert fault.tolerated
    assert str(fault).endswith("a.png: is used for a, and not a.jpg: the list has no suffix")


def test_an_empty_list_is_omitted_and_reported(tmp_path):
    root = voc(tmp_path / "d", ["a"], trainval="a\n", test="")
    assert available_splits(str(root)) == {"trainval": True}
    (fault,) = check_dataset(str(root)).faults
    assert fault.tolerated
    assert str(fault).endswith("test.txt: lists no images: the split test is omitted")
    (root / "ImageSets/Main/trainval.txt").write_text("\n")
    with pytest.raises(InputError, match="lists no images"):
        available_splits(str(root))


def test_the_case_of_suffixes_is_ignored(tmp_path):
    root = voc(tmp_path / "d", ["a"], train="a\n")
    (root / "Annotations/a.xml").rename(root / "Annotations/a.XML")
    (root / "JPEGImages/a.jpg").rename(root / "JPEGImages/a.JFIF")
    (image,) = find_dataset(str(root), "train").images
    assert (image.path.name, len(image.truth)) == ("a.JFIF", 1)


def test_an_image_of_an_unsupported_format_is_named(tmp_path):
    root = voc(tmp_path / "d", ["a"], train="a\n")
    (root / "JPEGImages/a.jpg").rename(root / "JPEGImages/a.psd")
    with pytest.raises(InputError, match=r"lists a: a\.psd in JPEGImages has no suffix"):
        find_dataset(str(root), "train")


def test_hidden_files_are_no_images_annotations_or_lists(tmp_path):
    root = voc(tmp_path / "d", ["a"], train="._a\na\n._a.jpg\n")
    for path in ("JPEGImages/._a.jpg", "Annotations/._a.xml", "ImageSets/Main/._train.txt"):
        (root / path).write_bytes(b"\0\5\x16\7 Mac OS X")
    assert check_dataset(str(root)).faults == ()
    assert ids(root, "train") == ["a"]
