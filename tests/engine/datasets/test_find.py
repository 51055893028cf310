"""The search for datasets, messages for unknown names, and unions."""

import shutil

import numpy as np
import pytest
from folders import write_voc

from frcnn_cli.engine.datasets.find import available_splits, default_splits, find_dataset
from frcnn_cli.engine.datasets.inputs import find_images
from frcnn_proposals.errors import MisuseError

DOG = ("dog", (1, 1, 50, 60))


@pytest.fixture
def devkit(tmp_path):
    splits = {split: [f"{split}1"] for split in ("train", "val", "trainval", "test")}
    annotations = {f"{split}1": [DOG] for split in splits}
    write_voc(tmp_path / "above/VOCdevkit/VOC2007", splits, annotations)
    del splits["test"]
    write_voc(tmp_path / "above/VOCdevkit/VOC2012", splits, {f"{s}1": [DOG] for s in splits})
    return tmp_path / "above"


@pytest.mark.parametrize("at", ["", "VOCdevkit", "VOCdevkit/VOC2007"])
def test_the_root_may_be_the_devkit_its_parent_or_the_year(devkit, at):
    assert find_dataset("voc2007", "test", devkit / at).images[0].image_id == "test1"


def test_the_folder_of_another_year_is_not_used(devkit):
    with pytest.raises(MisuseError, match="Dataset voc2007: not found in "):
        find_dataset("voc2007", "train", devkit / "VOCdevkit/VOC2012")


def test_the_search_order_is_option_environment_data_folder(devkit, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FRCNN_DATA", raising=False)
    for name in ("env", "data"):
        shutil.copytree(devkit, tmp_path / name)
    root_of = lambda root: find_dataset("voc2007", "test", root).images[0].path.parts  # noqa: E731
    assert "data" in root_of(None)
    monkeypatch.setenv("FRCNN_DATA", str(tmp_path / "env"))
    assert "env" in root_of(None)
    assert "above" in root_of(devkit)
    assert "env" in root_of(tmp_path / "nowhere")


def test_a_path_and_a_name_under_the_root(devkit):
    assert len(find_dataset(str(devkit / "VOCdevkit/VOC2007"), "test")) == 1
    assert len(find_dataset("VOC2007", "test", devkit / "VOCdevkit")) == 1
    with pytest.raises(MisuseError, match="several datasets"):
        find_dataset(str(devkit), "test")


def test_an_unknown_name_is_an_error_with_similar_names_and_the_searched_folders(devkit):
    with pytest.raises(MisuseError) as error:
        find_dataset("voc207", "test", devkit)
    message = str(error.value)
    assert "Did you mean voc2007" in message
    assert str(devkit) in message
    assert "voc2012" in message
    assert message.count("\n") <= 2


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("above/VOCdevkit/VOC207", "above/VOCdevkit/VOC2007 or above/VOCdevkit/VOC2012"),
        ("abov", "above"),
        ("Above/", "above"),
        ("gone/above", None),
        ("a\0b/above", None),
    ],
)
def test_a_mistyped_path_is_an_error_with_similar_folders(
    devkit, tmp_path, monkeypatch, name, meant
):
    monkeypatch.chdir(tmp_path)
    for search in (find_dataset, lambda name, _: find_images([name])):
        with pytest.raises(MisuseError) as caught:
            search(name, "train")
        hint = "Known: " if meant is None else f"Did you mean {meant}? Known: "
        assert str(caught.value).split("\n")[1].startswith(hint)


def test_a_path_without_a_dataset_and_an_unknown_split_are_errors(devkit, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(MisuseError, match="not a dataset"):
        find_dataset(str(tmp_path / "empty"), "test")
    with pytest.raises(MisuseError, match=r"Unknown split 'tset'.*train, val, trainval, test"):
        find_dataset("voc2007", "tset", devkit)
    with pytest.raises(MisuseError, match="union"):
        find_dataset("voc2007++voc2012", "test", devkit)


def test_default_splits_for_training_and_evaluation_are_disjoint(devkit):
    assert default_splits("voc2007", devkit).evaluation == "test"
    assert default_splits("voc2007", devkit).training == "trainval"
    assert default_splits("voc2012", devkit).evaluation == "val"
    assert default_splits("voc2012", devkit).training == "train"
    union = default_splits("voc2007+voc2012", devkit)
    assert (union.training, union.evaluation) == ("trainval", "test")


def test_a_test_split_without_annotations_is_not_the_default_for_evaluation(devkit):
    (devkit / "VOCdevkit/VOC2007/Annotations/test1.xml").unlink()
    assert available_splits("voc2007", devkit)["test"] is False
    assert default_splits("voc2007", devkit).evaluation == "val"


def test_a_missing_trainval_is_combined_from_train_and_val(devkit):
    (devkit / "VOCdevkit/VOC2007/ImageSets/Main/trainval.txt").unlink()
    ids = [image.image_id for image in find_dataset("voc2007", "trainval", devkit).images]
    assert ids == ["train1", "val1"]


def test_a_union_combines_members_and_makes_ids_unique(devkit):
    union = find_dataset("voc2007+voc2012", "trainval", devkit)
    assert union.name == "voc2007+voc2012"
    assert [i.image_id for i in union.images] == ["voc2007/trainval1", "voc2012/trainval1"]
    assert find_dataset("voc2007+voc2012", "test", devkit).name == "voc2007"


def test_a_union_combines_classes_and_renumbers_labels(tmp_path):
    box = (1, 1, 9, 9)
    one = write_voc(tmp_path / "one", {"train": ["1"]}, {"1": [("cat", box), ("dog", box)]})
    two = write_voc(tmp_path / "two", {"train": ["2"]}, {"2": [("ant", box), ("dog", box)]})
    union = find_dataset(f"{one}+{two}", "train")
    assert union.classes == ("cat", "dog", "ant")
    assert [i.image_id for i in union.images] == ["1", "2"]
    assert np.array_equal(union.images[0].truth.labels, [1, 2])
    assert np.array_equal(union.images[1].truth.labels, [3, 2])
