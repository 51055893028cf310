"""YOLO datasets as labelImg, darknet and other tools leave them, and data.yaml as it is written."""

import pytest
from PIL import Image

from frcnn_cli.engine.datasets.find import available_splits, find_dataset
from frcnn_proposals.errors import InputError, MisuseError

LABEL = "1 0.5 0.5 0.5 0.5\n"
BOX = [[25, 20, 74, 59]]


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def labelled(image, label=None):
    """Write an image, and its label file: next to it, or at `label`."""
    image.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (100, 80)).save(image)
    write(label or image.with_suffix(".txt"), LABEL)


def read(root, split):
    dataset = find_dataset(str(root), split)
    return dataset.classes, {
        image.image_id: image.truth.boxes.round(3).tolist() for image in dataset.images
    }


@pytest.mark.parametrize("names", ["classes.txt", "obj.names", "_darknet.labels"])
@pytest.mark.parametrize("folder", ["", "images/"])
def test_labels_next_to_the_images(tmp_path, names, folder):
    labelled(tmp_path / f"{folder}a.jpg")
    labelled(tmp_path / f"{folder}sub/b.jpg")
    write(tmp_path / folder / names, "cat\ndog\n")
    assert read(tmp_path, "all") == (("cat", "dog"), {"a": BOX, "sub/b": BOX})


@pytest.mark.parametrize("style", ["{}/", "{}/images/", "images/{}/"])
def test_split_folders_with_labels_next_to_the_images(tmp_path, style):
    for split in ("train", "valid"):
        folder = style.format(split)
        labelled(tmp_path / f"{folder}{split}.jpg")
        write(tmp_path / folder / "classes.txt", "cat\ndog\n")
    assert set(available_splits(str(tmp_path))) == {"train", "val", "trainval"}
    assert read(tmp_path, "val") == (("cat", "dog"), {"valid": BOX})


def test_split_folders_without_a_data_yaml_and_classes_next_to_the_labels(tmp_path):
    for split in ("train", "valid"):
        labelled(tmp_path / split / f"images/{split}.jpg", tmp_path / split / f"labels/{split}.txt")
    with pytest.raises(InputError, match=r"list the classes in data\.yaml or classes\.txt"):
        find_dataset(str(tmp_path), "train")
    for split in ("train", "valid"):
        write(tmp_path / split / "labels/classes.txt", "cat\ndog\n")
    assert read(tmp_path, "train") == (("cat", "dog"), {"train": BOX})
    write(tmp_path / "valid/labels/classes.txt", "dog\ncat\n")
    with pytest.raises(InputError, match=r"train.labels.classes\.txt and .* different classes"):
        find_dataset(str(tmp_path), "train")


def test_the_error_names_a_dataset_one_folder_below(tmp_path):
    labelled(tmp_path / "name/train/images/a.jpg", tmp_path / "name/train/labels/a.txt")
    with pytest.raises(MisuseError, match=r"not a dataset .*, but .*name is one"):
        find_dataset(str(tmp_path), "train")


def test_a_folder_of_images_with_other_texts_is_no_dataset(tmp_path):
    labelled(tmp_path / "a.jpg")
    with pytest.raises(MisuseError, match="not a dataset"):
        find_dataset(str(tmp_path), "all")


@pytest.mark.parametrize("prefix", ["data/", ""])
def test_darknet_files(tmp_path, prefix):
    """As CVAT exports them: the paths begin with data/, a folder that is not in the archive."""
    labelled(tmp_path / "obj_train_data/a.jpg")
    write(tmp_path / "obj.names", "cat\ndog\n")
    write(tmp_path / "train.txt", f"{prefix}obj_train_data/a.jpg\n")
    write(
        tmp_path / "obj.data",
        f"classes = 2\ntrain = {prefix}train.txt\nnames={prefix}obj.names\nbackup = backup/\n",
    )
    for path in (tmp_path, tmp_path / "obj.data"):
        assert read(path, "train") == (("cat", "dog"), {"a": BOX})


def test_darknet_paths_from_the_folder_above(tmp_path):
    labelled(tmp_path / "data/obj/a.jpg")
    write(tmp_path / "data/obj.names", "cat\ndog\n")
    write(tmp_path / "data/valid.txt", "data/obj/a.jpg\n")
    write(tmp_path / "data/obj.data", "valid = data/valid.txt\nnames = data/obj.names\n")
    assert read(tmp_path / "data", "val") == (("cat", "dog"), {"a": BOX})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("train = train.txt\n", "expected `names = FILE`"),
        ("names = obj.names\n", "has no train, val or test"),
        ("train = a\ntrain = b\nnames = obj.names\n", "has train twice"),
        ("train = a\nnames = gone.names\n", "class names, 'gone.names', does not exist"),
    ],
)
def test_a_faulty_obj_data_is_an_error(tmp_path, text, words):
    write(tmp_path / "obj.names", "cat\n")
    write(tmp_path / "obj.data", text)
    with pytest.raises(InputError, match=words):
        find_dataset(str(tmp_path), "train")


def yaml_dataset(root, text):
    pytest.importorskip("yaml")
    labelled(root / "images/a.jpg", root / "labels/a.txt")
    write(root / "data.yaml", text)
    return str(root)


def test_names_are_read_as_they_are_written(tmp_path):
    """YAML reads some of them as truth values, numbers, dates and nothing."""
    names = ("no", "yes", "on", "007", "1e3", "null", "2020-01-01", "0x1f", "~")
    root = yaml_dataset(tmp_path, "train: images\nnames:\n" + "".join(f"- {n}\n" for n in names))
    assert find_dataset(root, "train").classes == names
    (tmp_path / "data.yaml").write_text("train: images\nval: null\ntest:\nnames: {1: yes, 0: no}\n")
    assert find_dataset(root, "train").classes == ("no", "yes")
    assert set(available_splits(root)) == {"train"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("train: images\ntrain: labels\nnames: [a, b]", "the key train occurs twice"),
        ("train: images\nnames: {0: a, 1: b, 0: c}", "the key 0 occurs twice"),
        ("val: images\nvalid: images\nnames: [a, b]", "val and valid are both val"),
        ("train: images\nnames: [a, '']", "the name of class 1 is empty"),
        ("train: images\nkpt_shape: [4, 5]\nnames: [a, b]", "kpt_shape must be two numbers"),
        ("train: images\nkpt_shape: many\nnames: [a, b]", "kpt_shape must be two numbers"),
    ],
)
def test_what_a_data_yaml_says_twice_or_wrongly_is_an_error(tmp_path, text, words):
    with pytest.raises(InputError, match=words):
        find_dataset(yaml_dataset(tmp_path, text), "train")


@pytest.mark.parametrize("name", ["mine", "name-before"])
def test_a_data_yaml_with_the_name_of_its_folder_in_its_paths(tmp_path, name):
    """The folder can have another name since."""
    root = tmp_path / "mine"
    yaml_dataset(root, f"train: {name}/images/train\nval: {name}/images/val\nnames: [a, b]")
    for split in ("train", "val"):
        labelled(root / f"images/{split}/{split}.jpg", root / f"labels/{split}/{split}.txt")
    assert read(root, "train")[1] == {"train": BOX}
    assert read(root, "val")[1] == {"val": BOX}


def test_a_missing_image_of_a_list_is_not_taken_from_outside(tmp_path):
    root = tmp_path / "mine"
    yaml_dataset(root, "train: list.txt\nnames: [a, b]")
    write(root / "list.txt", "images/a.jpg\nimages/b.jpg\n")
    labelled(tmp_path / "images/b.jpg")
    with pytest.raises(InputError, match=r"mine/images/b\.jpg"):
        find_dataset(str(root), "train")


def test_the_keypoints_of_a_data_yaml(tmp_path):
    root = yaml_dataset(tmp_path, "train: images\nkpt_shape: [2, 2]\nnames: [a, b]")
    write(tmp_path / "labels/a.txt", LABEL.strip() + " 0.3 0.3 0.9 0.9\n")
    assert find_dataset(root, "train").images[0].truth.boxes.round(3).tolist() == BOX
