"""`check` on datasets with deliberate faults, and `list`."""

import numpy as np
import pytest
from folders import voc_xml, write_voc
from PIL import Image
from reporters import RecordingReporter

from frcnn_cli.engine.datasets.check import check_dataset
from frcnn_cli.engine.datasets.image_sizes import spread
from frcnn_cli.engine.datasets.locate import list_datasets
from frcnn_cli.engine.datasets.open import open_dataset
from frcnn_proposals.errors import InputError, MisuseError

DOG = ("dog", (1, 1, 50, 60))
SIZE = "<size><width>100</width><height>80</height></size>"


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
    assert set(messages) == {"edge.xml", "xml.xml", "train.txt"}
    assert "box 9 9 5 5: inverted" in messages["edge.xml"]
    assert "gone" in messages["train.txt"]
    tolerated = {fault.path.name: fault.message for fault in report.faults if fault.tolerated}
    assert tolerated.pop("cut.jpg").startswith("cannot be read as an image (")
    assert tolerated == {
        "edge.xml": "object 1 (cat), box 0 1 50 60: corner 1 pixel outside, clipped",
        "small.jpg": "is 50 x 40 pixels after EXIF rotation, annotated as 100 x 80",
    }


@pytest.mark.parametrize("layout", ["voc", "yolo"])
def test_unreadable_images_are_skipped_unless_there_is_no_other(tmp_path, layout):
    """As in training and evaluation, which stop only if no image can be read."""
    root = tmp_path / "d"
    if layout == "voc":
        write_voc(root, {"train": ["a", "b"]}, {"a": [DOG], "b": [DOG]})
        images = root / "JPEGImages"
    else:
        images = root / "train/images"
        (root / "train/labels").mkdir(parents=True)
        images.mkdir()
        (root / "classes.txt").write_text("dog\n")
        for name in "ab":
            Image.new("RGB", (100, 80)).save(images / f"{name}.jpg")
            (root / f"train/labels/{name}.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    (images / "a.jpg").write_bytes(b"not an image")
    report = check_dataset(str(root))
    (fault,) = report.faults
    assert report.sound
    assert str(fault).startswith(f"{images / 'a.jpg'}: cannot be read as an image")
    assert open_dataset(str(root), "train").images[-1].image_id == "b"
    (images / "b.jpg").write_bytes(b"neither")
    assert not check_dataset(str(root)).sound


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
    root = write_voc(
        tmp_path / "VOC2007", {"train": ["a"], "test": ["a", "b"]}, {"a": [DOG], "b": [DOG]}
    )
    Image.new("RGB", (100, 80), "red").save(root / "JPEGImages" / "b.jpg")
    report = check_dataset("voc2007", None, tmp_path)
    assert report.sound
    assert [fault.message for fault in report.faults] == ["is in both train and test"]


def test_most_images_of_another_size_make_a_split_unusable(tmp_path):
    """Half of them are a warning; one more is an error, in train too."""
    names = ["a", "b", "c", "d"]
    root = write_voc(tmp_path / "VOC2007", {"train": names}, {name: [DOG] for name in names})
    for name in names[:2]:
        Image.new("RGB", (50, 40), name_colour(name)).save(root / "JPEGImages" / f"{name}.jpg")
    report = check_dataset("voc2007", "train", tmp_path)
    assert report.sound
    assert [fault.path.name for fault in report.faults] == ["a.jpg", "b.jpg"]
    reporter = RecordingReporter()
    open_dataset("voc2007", "train", tmp_path, reporter=reporter)
    (warning,) = reporter.warnings
    assert "2 of 4 images read do not match their annotations: a is 50 x 40 pixels" in warning
    Image.new("RGB", (50, 40)).save(root / "JPEGImages" / "c.jpg")
    assert not check_dataset("voc2007", "train", tmp_path).sound
    with pytest.raises(InputError, match="3 of 4 images read do not match"):
        open_dataset("voc2007", "train", tmp_path)
    reporter = RecordingReporter()
    open_dataset("voc2007", "train", tmp_path, allow_mismatch=True, reporter=reporter)
    assert "3 of 4" in reporter.warnings[0]


def name_colour(name):
    return {"a": "red", "b": "green"}[name]


def test_boxes_outside_an_image_of_unknown_annotated_size_are_found(tmp_path):
    """The annotation has no <size>, so only the image file tells that the box lies outside."""
    far = voc_xml([("dog", (110, 90, 150, 150))]).replace(SIZE, "")
    near = voc_xml([DOG]).replace(SIZE, "")
    write_voc(tmp_path / "VOC2007", {"train": ["a", "b", "c"]}, {"a": far, "b": near, "c": near})
    (fault,) = check_dataset("voc2007", "train", tmp_path).faults
    assert "is 100 x 80 pixels after EXIF rotation, with 1 box outside of it" in str(fault)
    reporter = RecordingReporter()
    open_dataset("voc2007", "train", tmp_path, reporter=reporter)
    assert "1 of 3 images" in reporter.warnings[0]


def test_allow_mismatch_skips_faulty_objects(broken):
    """Without it the first fault is an error, with it the faults are counted in one warning."""
    with pytest.raises(InputError, match="allow-mismatch"):
        open_dataset("voc2007", "train", broken)
    reporter = RecordingReporter()
    dataset = open_dataset("voc2007", "train", broken, allow_mismatch=True, reporter=reporter)
    assert len(dataset) == 6
    skipped, tolerated, sizes = reporter.warnings
    assert skipped.startswith("3 problems in annotations or image lists, whose objects are skipped")
    assert "corner 1 pixel outside, clipped" in tolerated
    assert "1 of 4 images" in sizes


def test_boxes_beyond_the_tolerance_are_clipped_and_counted(tmp_path):
    """One pixel is tolerated; with --allow-mismatch more is clipped, and empty objects skipped."""
    text = voc_xml(
        [DOG, ("dog", (60, 60, 103, 80)), ("dog", (-4, 1, 50, 60)), ("dog", (9, 9, 5, 5))]
    )
    text = text.replace("</annotation>", "<object/><object></object></annotation>")
    write_voc(tmp_path / "VOC2007", {"train": ["a"]}, {"a": text})
    report = check_dataset("voc2007", "train", tmp_path)
    assert [fault.message for fault in report.faults] == [
        "object 5: it has no <name>",
        "object 6: it has no <name>",
        "object 2 (dog), box 60 60 103 80: 3 pixels outside its 100 x 80 image",
        "object 3 (dog), box -4 1 50 60: 5 pixels outside its 100 x 80 image",
        "object 4 (dog), box 9 9 5 5: inverted (xmax < xmin or ymax < ymin)",
    ]
    assert not report.sound
    with pytest.raises(InputError, match="it has no <name>"):
        open_dataset("voc2007", "train", tmp_path)
    reporter = RecordingReporter()
    (image,) = open_dataset(
        "voc2007", "train", tmp_path, allow_mismatch=True, reporter=reporter
    ).images
    assert image.truth.boxes.tolist() == [[0, 0, 49, 59], [59, 59, 99, 79], [0, 0, 49, 59]]
    skipped, clipped = reporter.warnings
    assert skipped.startswith("3 problems in annotations or image lists, whose objects are skipped")
    assert clipped.startswith("2 boxes clipped to the image: ")


@pytest.mark.parametrize(
    ("objects", "words"),
    [
        ([("dog", (1, 1, 9, 9), True)], "all objects are difficult or crowd, so that none counts"),
        ([], "no annotated image has an object"),
    ],
)
def test_a_split_without_an_object_that_counts_is_a_warning(tmp_path, objects, words):
    write_voc(tmp_path / "VOC2007", {"train": ["a"], "val": ["b"]}, {"a": objects, "b": [DOG]})
    report = check_dataset("voc2007", "train", tmp_path)
    (fault,) = report.faults
    assert report.sound
    assert str(fault).startswith(f"voc2007: train: {words}")
    reporter = RecordingReporter()
    open_dataset("voc2007", "train", tmp_path, reporter=reporter)
    (warning,) = reporter.warnings
    assert warning.startswith(f"voc2007 train: {words}")
    reporter = RecordingReporter()
    open_dataset("voc2007", "trainval", tmp_path, reporter=reporter)
    assert reporter.warnings == []


def test_byte_identical_images_of_two_splits_are_found(tmp_path):
    root = write_voc(tmp_path / "VOC2007", {"train": ["a", "c"], "test": ["b"]},
                     {name: [DOG] for name in "abc"})  # fmt: skip
    Image.new("RGB", (100, 80), "red").save(root / "JPEGImages" / "c.jpg")
    report = check_dataset("voc2007", None, tmp_path)
    assert report.sound
    (fault,) = report.faults
    assert str(fault).endswith(
        f"b.jpg: in test has the same bytes as {root}/JPEGImages/a.jpg in train"
    )


def test_similar_and_unused_classes_are_found_over_all_splits(tmp_path):
    """A class may lack objects in one split; difficult objects do not count."""
    box = (1, 1, 9, 9)
    root = write_voc(
        tmp_path / "pets",
        {"train": ["a"], "val": ["b"]},
        {
            "a": [("Dog", box), ("hot-dog", box), ("pug", box, True)],
            "b": [("dog", box), ("hot dog", box), ("cat", box)],
        },
        size=(64, 48),
    )
    Image.new("RGB", (64, 48), "red").save(root / "JPEGImages/b.jpg")
    names = ["pets", "Dog", "dog", "hot-dog", "cat", "hot dog", "pug", "?", "!"]
    (root / "classes.txt").write_text("\n".join(names))
    report = check_dataset(str(root))
    assert report.sound
    assert [str(fault) for fault in report.faults] == [
        f"{root}: names of classes that differ only in case, spaces or punctuation: "
        "'Dog' and 'dog'; 'hot-dog' and 'hot dog'",
        f"{root}: 4 of 9 classes have no object that counts: pets; pug; ? and 1 more",
    ]
    train, val, trainval = report.splits
    assert (train.objects["Dog"], val.objects["Dog"], trainval.objects["Dog"]) == (1, 0, 1)
    assert (train.objects["pug"], train.ignored) == (0, 1)


def test_headers_are_spread_evenly_over_a_large_split():
    assert spread(range(1000), 5) == [0, 249, 499, 749, 999]
    assert spread(range(3), 5) == [0, 1, 2]


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


def test_how_sixteen_bit_images_are_read_is_said_once(tmp_path):
    root = write_voc(tmp_path / "VOC2007", {"test": ["a", "b"]}, {"a": [DOG], "b": [DOG]})
    for name in ("a", "b"):
        values = np.linspace(2900, 3200, 8000).astype(np.uint16).reshape(80, 100)
        Image.fromarray(values).save(root / "JPEGImages" / f"{name}.png")
        (root / "JPEGImages" / f"{name}.jpg").unlink()
    for read in (check_dataset, open_dataset):
        reporter = RecordingReporter()
        read("voc2007", "test", tmp_path, reporter=reporter)
        (note,) = reporter.notes
        assert "a.png: has 16-bit grey values" in note
        assert "less than 16,384 are stretched" in note
        assert reporter.warnings == []


def test_list_shows_a_dataset_whose_splits_are_not_clear(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "data/two/annotations"
    folder.mkdir(parents=True)
    for year in ("2014", "2017"):
        (folder / f"instances_val{year}.json").write_text("{}")
    (item,) = list_datasets()
    assert (item.name, item.splits) == ("two", {})
    assert "are both val" in str(item.problem)
