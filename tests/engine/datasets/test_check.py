"""`check` on datasets with deliberate faults, and `list`."""

import pytest
from folders import write_voc
from PIL import Image
from reporters import RecordingReporter

from frcnn_cli.engine.datasets.check import check_dataset
from frcnn_cli.engine.datasets.locate import list_datasets
from frcnn_proposals.errors import MisuseError

DOG = ("dog", (1, 1, 50, 60))


@pytest.fixture
def broken(tmp_path):
    """A dataset with one fault of every kind in train; test has none."""
    root = write_voc(
        tmp_path / "VOC2007",
        {"train": ["ok", "cut", "small", "edge", "xml", "gone"], "test": ["t"]},
        {
            **{name: [DOG] for name in ("ok", "cut", "small", "gone")},
            "edge": [("cat", (0, 1, 50, 60)), ("dog", (9, 9, 5, 5))],
            "xml": "<annotation>",
            "t": [DOG, ("dog", (1, 1, 9, 9), True)],
        },
    )
    images = root / "JPEGImages"
    (images / "cut.jpg").write_bytes((images / "cut.jpg").read_bytes()[:300])
    Image.new("RGB", (50, 40)).save(images / "small.jpg")
    (images / "gone.jpg").unlink()
    return tmp_path


def test_every_fault_is_reported(broken):
    report = check_dataset("voc2007", "train", broken)
    assert not report.sound
    messages = {fault.path.name: str(fault) for fault in report.faults if not fault.tolerated}
    assert set(messages) == {"cut.jpg", "small.jpg", "edge.xml", "xml.xml", "train.txt"}
    assert "50 x 40 pixels after EXIF rotation, annotated as 100 x 80" in messages["small.jpg"]
    assert "box 9 9 5 5: inverted" in messages["edge.xml"]
    assert "gone" in messages["train.txt"]
    assert [fault.message for fault in report.faults if fault.tolerated] == [
        "object 1 (cat), box 0 1 50 60: corner 1 pixel outside, clipped"
    ]


def test_a_split_without_faults_is_counted(broken):
    reporter = RecordingReporter()
    report = check_dataset("voc2007", "test", broken, reporter)
    assert report.sound
    (test,) = report.splits
    assert (test.images, test.annotated, test.background, test.ignored) == (1, True, 0, 1)
    assert test.objects["dog"] == 1
    assert sum(test.objects.values()) == 1
    assert reporter.counts == [(1, 1)]


def test_images_shared_by_two_splits_are_reported(tmp_path):
    write_voc(tmp_path / "VOC2007", {"train": ["a"], "test": ["a", "b"]}, {"a": [], "b": []})
    report = check_dataset("voc2007", None, tmp_path)
    assert report.sound
    assert [fault.message for fault in report.faults] == ["is in both train and test"]


def test_an_unreadable_list_is_a_fault_of_its_split(tmp_path):
    root = write_voc(tmp_path / "VOC2007", {"train": ["a"], "test": ["b"]}, {"a": [], "b": []})
    (root / "ImageSets/Main/test.txt").write_text("\n")
    report = check_dataset("voc2007", None, tmp_path)
    assert [split.split for split in report.splits] == ["train"]
    assert "lists no images" in str(report.faults[0])
    with pytest.raises(MisuseError):
        check_dataset("voc2008", None, tmp_path)


def test_the_real_images_have_no_faults(shared_data):
    report = check_dataset("voc2007", "val", shared_data / "voc2007-subset")
    assert report.sound
    assert report.splits[0].images == 471


def test_list_shows_each_dataset_once_with_its_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FRCNN_DATA", raising=False)
    write_voc(tmp_path / "first/VOCdevkit/VOC2007", {"train": ["a"]}, {"a": []})
    write_voc(tmp_path / "data/VOCdevkit/VOC2007", {"train": ["a"]}, {"a": []})
    write_voc(tmp_path / "data/shapes", {"train": ["a"], "test": ["b"]}, {"a": []})
    (tmp_path / "data/notes").mkdir()
    datasets = {item.name: item for item in list_datasets(tmp_path / "first")}
    assert set(datasets) == {"voc2007", "shapes"}
    assert "first" in datasets["voc2007"].root.parts
    assert datasets["shapes"].splits == {"train": True, "test": False}
    assert datasets["shapes"].kind == "VOC"
