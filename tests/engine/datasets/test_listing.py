"""Ids that splits repeat, hidden files, links and absent folders, in every layout."""

import json

import numpy as np
import pytest
from folders import voc_xml
from PIL import Image
from reporters import RecordingReporter

from frcnn_cli.engine.datasets.check import check_dataset
from frcnn_cli.engine.datasets.export.dataset import export_dataset
from frcnn_cli.engine.datasets.find import all_ids, available_splits, default_splits, find_dataset
from frcnn_cli.engine.datasets.inputs import find_images
from frcnn_cli.engine.datasets.open import open_dataset
from frcnn_proposals.errors import InputError, MisuseError

pytest.importorskip("yaml")

SIZE = (100, 80)


def image(path, grey=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("L", SIZE, grey).save(path)


def text(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def yolo(root, *names):
    """Each name is split/image; the grey level of an image is its place."""
    for place, name in enumerate(names):
        folder, _, file = name.partition("/")
        image(root / folder / "images" / file, place)
        text((root / folder / "labels" / file).with_suffix(".txt"), "0 0.5 0.5 0.5 0.5\n")
    folders = {name.partition("/")[0] for name in names}
    keys = {"valid": "val"}
    lines = [f"{keys.get(folder, folder)}: {folder}/images" for folder in sorted(folders)]
    text(root / "data.yaml", "\n".join(["names: [cat]", *lines]))
    return root


def coco(root, *names):
    for place, name in enumerate(names):
        image(root / name, place)
    for folder in {name.partition("/")[0] for name in names}:
        own = [name.partition("/")[2] for name in names if name.startswith(f"{folder}/")]
        content = {
            "images": [
                {"id": number, "file_name": name, "width": SIZE[0], "height": SIZE[1]}
                for number, name in enumerate(own)
            ],
            "annotations": [
                {"id": number, "image_id": number, "category_id": 1, "bbox": [10, 10, 20, 20]}
                for number in range(len(own))
            ],
            "categories": [{"id": 1, "name": "cat"}],
        }
        text(root / folder / "_annotations.coco.json", json.dumps(content))
    return root


def folder_of_xml(root, *names):
    for place, name in enumerate(names):
        image(root / name, place)
        text((root / name).with_suffix(".xml"), voc_xml([("cat", (1, 1, 9, 9))], SIZE))
    return root


LAYOUTS = [yolo, coco, folder_of_xml]


def grey_of(path):
    with Image.open(path) as opened:
        return int(np.asarray(opened)[0, 0])


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_split_stands_before_ids_that_splits_repeat(tmp_path, layout):
    names = ("train/1.png", "train/2.png", "valid/1.png", "valid/3.png")
    root = str(layout(tmp_path / "d", *names))
    ids = [[i.image_id for i in find_dataset(root, split).images] for split in ("train", "val")]
    assert ids == [["train/1", "2"], ["val/1", "3"]]
    assert all_ids(root) == {"train/1", "2", "val/1", "3"}
    trainval = find_dataset(root, "trainval").images
    assert {i.image_id: grey_of(i.path) for i in trainval} == {
        "train/1": 0,
        "2": 1,
        "val/1": 2,
        "3": 3,
    }
    assert [image_id for image_id, _ in find_images([root])] == ["train/1", "2", "val/1", "3"]
    assert check_dataset(root).sound


@pytest.mark.parametrize("layout", LAYOUTS)
def test_ids_without_repeats_have_no_split(tmp_path, layout):
    root = str(layout(tmp_path / "d", "train/1.png", "valid/2.png", "test/3.png"))
    assert [find_dataset(root, s).images[0].image_id for s in ("train", "val", "test")] == [
        *("1", "2", "3")
    ]


@pytest.mark.parametrize("format", ["voc", "yolo"])
@pytest.mark.parametrize("layout", LAYOUTS)
def test_an_export_has_all_images(tmp_path, layout, format):
    names = ("train/1.png", "train/2.png", "valid/1.png", "valid/2.png")
    dataset = find_dataset(str(layout(tmp_path / "d", *names)), "trainval")
    export_dataset(dataset, tmp_path / "out", format, copy_images=True)
    copied = find_dataset(str(tmp_path / "out"), "trainval").images
    assert {i.image_id: grey_of(i.path) for i in copied} == {
        i.image_id: grey_of(i.path) for i in dataset.images
    }
    assert sorted(grey_of(i.path) for i in copied) == [0, 1, 2, 3]


@pytest.mark.parametrize("layout", [yolo, coco])
def test_images_of_a_split_that_differ_only_in_suffix_keep_it(tmp_path, layout):
    root = layout(tmp_path / "d", "train/1.png", "train/1.gif", "train/2.png", "valid/1.png")
    found = find_dataset(str(root), "train").images
    assert sorted(i.image_id for i in found) == ["1.gif", "1.png", "2"]
    assert [i.image_id for i in find_dataset(str(root), "val").images] == ["1"]
    export_dataset(find_dataset(str(root), "train"), tmp_path / "out", "voc", copy_images=True)
    back = find_dataset(str(tmp_path / "out"), "train").images
    assert {i.image_id: grey_of(i.path) for i in back} == {
        i.image_id: grey_of(i.path) for i in found
    }


def test_an_image_in_two_splits_has_one_id(tmp_path):
    root = yolo(tmp_path / "d", "train/1.png", "test/1.png")
    with (root / "data.yaml").open("a") as file:
        file.write("\nval: train/images\n")
    ids = [find_dataset(str(root), split).images[0].image_id for split in ("train", "val", "test")]
    assert ids == ["train/1", "train/1", "test/1"]
    assert [i.image_id for i in find_dataset(str(root), "trainval").images] == ["train/1"]


def test_names_that_folders_of_a_split_or_a_list_repeat_become_paths(tmp_path):
    for camera in ("cam1", "cam2"):
        for name in ("1.png", f"{camera}.png"):
            image(tmp_path / camera / "images" / name)
            text(tmp_path / camera / "labels/1.txt", "0 0.5 0.5 0.5 0.5\n")
    text(tmp_path / "list.txt", "cam1/images/1.png\ncam2/images/1.png\n./cam1/images/cam1.png\n")
    text(tmp_path / "data.yaml", "names: [cat]\ntrain: [cam1/images, cam2/images]\nval: list.txt\n")
    ids = [i.image_id for i in find_dataset(str(tmp_path), "train").images]
    assert ids == ["cam1/images/1", "cam1", "cam2/images/1", "cam2"]
    ids = [i.image_id for i in find_dataset(str(tmp_path), "val").images]
    assert ids == ["cam1/images/1", "cam2/images/1", "cam1"]
    assert [i for i, _ in find_images([str(tmp_path / "list.txt")])] == ids


def test_ids_that_members_of_a_union_repeat_are_unique_in_all_splits(tmp_path):
    one = yolo(tmp_path / "x/one", "train/1.png", "valid/2.png")
    two = yolo(tmp_path / "y/two", "train/3.png", "valid/1.png")
    name = f"{one}+{two}"
    ids = [[i.image_id for i in find_dataset(name, split).images] for split in ("train", "val")]
    assert ids == [["one/1", "3"], ["2", "two/1"]]
    assert all_ids(name) == {"one/1", "3", "2", "two/1"}


def test_members_of_equal_names_keep_their_folders(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder in "xy":
        yolo(tmp_path / folder / "d", "train/1.png")
    ids = [i.image_id for i in find_dataset("x/d+y/d", "train").images]
    assert ids == ["x/d/1", "y/d/1"]


def test_numbers_that_splits_of_a_coco_dataset_repeat_are_replaced(tmp_path):
    root = coco(tmp_path / "d", "train/a.png", "train/b.png", "valid/c.png")
    assert dict(find_dataset(str(root), "val").image_numbers) == {"c": 0}
    assert dict(find_dataset(str(root), "trainval").image_numbers) == {"a": 1, "b": 2, "c": 3}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_hidden_files_are_skipped(tmp_path, layout):
    root = layout(tmp_path / ".data/d", "train/1.png", "valid/2.png")
    for path in [path for path in root.rglob("*") if path.is_file()]:
        path.with_name(f"._{path.name}").write_bytes(b"\0\5\x16\7 Mac OS X")
        image(path.parent / ".ipynb_checkpoints" / "1-checkpoint.png")
    assert check_dataset(str(root)).faults == ()
    assert len(find_dataset(str(root), "train")) == 1
    assert len(find_images([str(root)])) == 2


def test_an_absent_or_empty_split_is_omitted_with_a_warning(tmp_path):
    root = yolo(tmp_path / "d", "train/1.png")
    (root / "empty").mkdir()
    with (root / "data.yaml").open("a") as file:
        file.write("\nval: ../valid/images\ntest: empty\n")
    assert available_splits(str(root)) == {"train": True}
    assert default_splits(str(root)).training == "train"
    reporter = RecordingReporter()
    assert len(open_dataset(str(root), "train", reporter=reporter)) == 1
    (warning,) = reporter.warnings
    assert "valid/images: does not exist: the split val is omitted" in warning
    assert "empty: contains no images: the split test is omitted" in warning
    report = check_dataset(str(root))
    assert report.sound
    assert len(report.faults) == 2
    for split, omitted in (("val", "does not exist"), ("test", "contains no images")):
        with pytest.raises(MisuseError, match=f"Unknown split '{split}'.*has train") as error:
            check_dataset(str(root), split)
        assert error.value.args[0].splitlines()[1:] == [str(report.faults[split == "test"]) + "."]
        assert omitted in str(error.value)
    with pytest.raises(MisuseError, match="does not exist: the split val is omitted"):
        find_dataset(str(root), "trainval")


def test_a_coco_file_without_images_is_omitted_unless_there_is_no_other(tmp_path):
    root = coco(tmp_path / "d", "train/1.png", "valid/2.png")
    empty = {"images": [], "annotations": [], "categories": [{"id": 1, "name": "cat"}]}
    text(root / "valid/_annotations.coco.json", json.dumps(empty))
    assert available_splits(str(root)) == {"train": True}
    (fault,) = check_dataset(str(root)).faults
    assert fault.tolerated
    assert "lists no images: the split val is omitted" in fault.message
    text(root / "train/_annotations.coco.json", json.dumps(empty))
    with pytest.raises(InputError, match="lists no images"):
        find_dataset(str(root), "train")


def test_one_absent_folder_among_several_is_an_error_for_its_split_only(tmp_path):
    root = yolo(tmp_path / "d", "train/1.png", "test/2.png")
    text(root / "data.yaml", "names: [cat]\ntrain: [train/images, gone]\ntest: test/images\n")
    with pytest.raises(InputError, match="gone of split train does not exist"):
        open_dataset(str(root), "train")
    assert len(open_dataset(str(root), "train", allow_mismatch=True)) == 1
    assert len(open_dataset(str(root), "test")) == 1


def test_linked_folders_of_a_dataset_are_read(tmp_path):
    root = yolo(tmp_path / "d", "train/1.png")
    image(tmp_path / "elsewhere/2.png")
    (root / "train/images/cam").symlink_to(tmp_path / "elsewhere")
    (root / "train/images/loop").symlink_to(root)
    text(root / "train/labels/cam/2.txt", "0 0.5 0.5 0.5 0.5\n")
    found = find_dataset(str(root), "train").images
    assert [(i.image_id, len(i.truth)) for i in found] == [("1", 1), ("cam/2", 1)]


@pytest.mark.parametrize("layout", [yolo, folder_of_xml])
def test_files_that_are_no_images_are_named(tmp_path, layout):
    root = layout(tmp_path / "d", "train/1.png", "valid/2.png")
    folder = root / "train/images" if layout is yolo else root / "train"
    for name in ("a.heix", "b.psd", "c.mp4", "d.tgz", "notes.txt", "README"):
        (folder / name).touch()
    (fault,) = check_dataset(str(root)).faults
    assert fault.tolerated
    assert fault.path == folder
    assert fault.message == (
        "4 files skipped, without the suffix of a supported image: a.heix, b.psd, c.mp4 and 1 more"
    )
