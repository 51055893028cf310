"""The VOC reader on valid and faulty files, and on real images."""

import numpy as np
import pytest
from folders import voc_xml, write_voc

from frcnn_cli.engine.datasets.find import find_dataset
from frcnn_cli.engine.datasets.layout import raise_on_fault
from frcnn_cli.engine.datasets.readers.voc import VOC_CLASSES
from frcnn_proposals.errors import InputError

DOG = ("dog", (11, 21, 50, 60))


def one_image(tmp_path, annotation, name="VOC2007"):
    write_voc(tmp_path / name, {"train": ["000001"]}, {"000001": annotation})
    return tmp_path


def test_boxes_become_0_based_and_the_difficult_flag_is_read(tmp_path):
    root = one_image(tmp_path, [DOG, ("cat", (1, 1, 100, 80), True)])
    (image,) = find_dataset("voc2007", "train", root).images
    assert image.truth.boxes.dtype == np.float32
    assert image.truth.boxes.tolist() == [[10, 20, 49, 59], [0, 0, 99, 79]]
    assert image.truth.difficult.tolist() == [False, True]
    assert [VOC_CLASSES[label - 1] for label in image.truth.labels] == ["dog", "cat"]
    assert (image.width, image.height, image.image_id) == (100, 80, "000001")


def test_an_image_without_objects_is_valid(tmp_path):
    (image,) = find_dataset("voc2007", "train", one_image(tmp_path, [])).images
    assert len(image.truth) == 0
    assert image.truth.boxes.shape == (0, 4)


def test_a_corner_one_pixel_outside_is_clipped(tmp_path):
    root = one_image(tmp_path, [("dog", (0, 0.5, 101, 81))])
    (image,) = find_dataset("voc2007", "train", root).images
    assert image.truth.boxes.tolist() == [[0, 0, 99, 79]]


@pytest.mark.parametrize(
    ("objects", "words"),
    [
        ([DOG, ("dog", (60, 10, 50, 20))], "object 2 (dog), box 60 10 50 20: inverted"),
        ([("dog", (10, 10, 103, 20))], "outside its 100 x 80 image"),
        ([("dog", (-3, 10, 20, 20))], "outside its 100 x 80 image"),
        ([("dog", (101, 10, 101, 20))], "outside its 100 x 80 image"),
        ([("unicorn", (1, 1, 2, 2))], "object 1 (unicorn): unknown class"),
        ([("dog", ("nan", 1, 2, 2))], "xmin 'nan', not a number"),
        ([("dog", ("", 1, 2, 2))], "not a number"),
        ("<annotation><object><name>dog</name></object></annotation>", "no <bndbox>"),
        ("<annotation><object></object></annotation>", "no <name>"),
        ("<annotation><object>", "not a readable annotation"),
        ("<svg></svg>", "not a VOC annotation"),
        ("", "not a readable annotation"),
        (
            '<!DOCTYPE a [<!ENTITY b "b">]><annotation>&b;</annotation>',
            "document types and entities are not supported",
        ),
        (
            '<!DOCTYPE a SYSTEM "other.dtd"><annotation></annotation>',
            "document types and entities are not supported",
        ),
    ],
)
def test_a_faulty_annotation_is_an_error_with_its_name(tmp_path, objects, words):
    with pytest.raises(InputError) as error:
        find_dataset("voc2007", "train", one_image(tmp_path, objects))
    assert words in str(error.value)
    assert "000001.xml" in str(error.value)
    assert str(error.value).count("\n") <= 2


def test_every_fault_goes_to_the_report_function(tmp_path):
    objects = [("dog", (60, 10, 50, 20)), DOG, ("unicorn", (1, 1, 2, 2)), ("cat", (0, 1, 9, 9))]
    faults = []
    dataset = find_dataset("voc2007", "train", one_image(tmp_path, objects), faults.append)
    assert [fault.tolerated for fault in faults] == [False, False, True]
    assert len(dataset.images[0].truth) == 2


def test_a_missing_image_is_an_error(tmp_path):
    root = one_image(tmp_path, [DOG])
    (root / "VOC2007" / "JPEGImages" / "000001.jpg").unlink()
    with pytest.raises(
        InputError, match=r"train\.txt: lists 000001, which is missing in JPEGImages"
    ):
        find_dataset("voc2007", "train", root)


def test_one_missing_annotation_is_a_fault_but_none_at_all_is_not(tmp_path):
    root = write_voc(tmp_path / "VOC2012", {"val": ["1", "2"], "test": ["3"]}, {"1": [DOG]})
    with pytest.raises(InputError, match=r"2\.xml"):
        find_dataset("voc2012", "val", tmp_path)
    (image,) = find_dataset("voc2012", "test", tmp_path).images
    assert image.truth is None
    assert image.path == root / "JPEGImages" / "3.jpg"


def test_lists_may_have_a_second_column_and_duplicates(tmp_path):
    root = write_voc(tmp_path / "VOC2007", {"train": ["1", "2"]}, {"1": [DOG], "2": []})
    (root / "ImageSets/Main/train.txt").write_text("1  1\n2 -1\n\n1  1\n")
    assert [i.image_id for i in find_dataset("voc2007", "train", tmp_path).images] == ["1", "2"]


@pytest.mark.parametrize("image_id", ["../outside", "sub/../../x", "/etc/passwd", "..", "a\x1bb"])
def test_an_image_id_that_leads_out_of_the_folder_is_rejected(tmp_path, image_id):
    """Files are written by it: detect --viz could replace an image outside the output folder."""
    root = one_image(tmp_path, [DOG])
    (root / "VOC2007" / "ImageSets" / "Main" / "train.txt").write_text(f"000001\n{image_id}\n")
    for report in (lambda fault: None, raise_on_fault):
        with pytest.raises(InputError, match=r"train\.txt: unusable image id"):
            find_dataset("voc2007", "train", root, report)


def test_classes_of_a_path_come_from_all_splits_or_a_file(tmp_path):
    root = write_voc(
        tmp_path / "mine",
        {"train": ["1"], "test": ["2"]},
        {"1": [("zebra", (1, 1, 9, 9))], "2": [("ant", (1, 1, 9, 9))]},
    )
    assert find_dataset(str(root), "train").classes == ("ant", "zebra")
    (root / "classes.txt").write_text("zebra\nyak\nant\n")
    dataset = find_dataset(str(root), "test")
    assert dataset.classes == ("zebra", "yak", "ant")
    assert dataset.images[0].truth.labels.tolist() == [3]


def test_the_real_images(shared_data):
    dataset = find_dataset("voc2007", "trainval", shared_data / "voc2007-subset")
    assert len(dataset) == 2830
    first = dataset.images[0]
    assert (first.image_id, first.width, first.height) == ("000001", 353, 500)
    assert first.truth.boxes.tolist() == [[47, 239, 194, 370], [7, 11, 351, 497]]
    assert [dataset.classes[label - 1] for label in first.truth.labels] == ["dog", "person"]
    assert sum(int(image.truth.difficult.sum()) for image in dataset.images) > 0


@pytest.mark.parametrize("word", ["0", "", "false", "False", " 0 "])
def test_a_flag_that_is_not_set(tmp_path, word):
    (image,) = find_dataset("voc2007", "train", flagged(tmp_path, word)).images
    assert image.truth.difficult.tolist() == [False]


@pytest.mark.parametrize("word", ["1", "true", "True"])
def test_a_flag_that_is_set(tmp_path, word):
    (image,) = find_dataset("voc2007", "train", flagged(tmp_path, word)).images
    assert image.truth.difficult.tolist() == [True]


@pytest.mark.parametrize("word", ["Unspecified", "No", "0.0", "2", "none"])
def test_another_word_is_reported_and_does_not_set_the_flag(tmp_path, word):
    faults = []
    (image,) = find_dataset("voc2007", "train", flagged(tmp_path, word), faults.append).images
    assert image.truth.difficult.tolist() == [False]
    (fault,) = faults
    assert fault.tolerated
    assert f"object 1 (dog): difficult is {word!r}, not 0, 1, true or false" in fault.message


def flagged(tmp_path, word):
    text = voc_xml([DOG]).replace("<difficult>0<", f"<difficult>{word}<")
    return one_image(tmp_path, text)


def test_each_bndbox_of_an_object_is_an_object(tmp_path):
    second = "<bndbox><xmin>1</xmin><ymin>2</ymin><xmax>3</xmax><ymax>4</ymax></bndbox>"
    bad = second.replace("<xmin>1</xmin>", "")
    text = voc_xml([("cat", (1, 1, 9, 9)), DOG]).replace("</object></annotation>",
                   f"{bad}{second}</object></annotation>")  # fmt: skip
    faults = []
    (image,) = find_dataset("voc2007", "train", one_image(tmp_path, text), faults.append).images
    assert image.truth.boxes.tolist() == [[0, 0, 8, 8], [10, 20, 49, 59], [0, 1, 2, 3]]
    assert [VOC_CLASSES[label - 1] for label in image.truth.labels] == ["cat", "dog", "dog"]
    assert [fault.message for fault in faults] == ["object 2: dog has xmin 'missing', not a number"]


def test_a_root_with_a_capital_letter(tmp_path):
    text = voc_xml([DOG]).replace("annotation>", "Annotation>")
    (image,) = find_dataset("voc2007", "train", one_image(tmp_path, text)).images
    assert len(image.truth) == 1


@pytest.mark.parametrize(
    ("declared", "actual", "name"),
    [
        ("utf8", "utf-8", "größe"),
        ("UTF-16", "utf-8", "größe"),
        ("us-ascii", "utf-8", "猫"),
        ("GB2312", "utf-8", "猫"),
        ("GB2312", "utf-8", "猫狗"),
        ("GB2312", "gb18030", "猫狗"),
        ("gb2312", "gb18030", "隆"),  # its two bytes are also one character of UTF-8
        ("Shift_JIS", "cp932", "ネコ"),
        ("iso-8859-1", "latin-1", "größe"),
    ],
)
def test_an_encoding_that_is_declared_wrongly_or_rarely(tmp_path, declared, actual, name):
    text = f'<?xml version="1.0" encoding="{declared}"?>\n' + voc_xml([(name, (1, 1, 9, 9))])
    root = write_voc(tmp_path / "mine", {"train": ["a"]}, {"a": []})
    (root / "Annotations/a.xml").write_bytes(text.encode(actual))
    assert find_dataset(str(root), "train").classes == (name,)


@pytest.mark.parametrize("declared", ["utf8", "utf-8", "unknown", "idna"])
def test_bytes_of_no_encoding_that_the_file_tells_are_an_error(tmp_path, declared):
    root = write_voc(tmp_path / "mine", {"train": ["a"]}, {"a": []})
    text = f'<?xml version="1.0" encoding="{declared}"?>' + voc_xml([("größe", (1, 1, 9, 9))])
    (root / "Annotations/a.xml").write_bytes(text.encode("latin-1"))
    with pytest.raises(InputError, match="not a readable annotation"):
        find_dataset(str(root), "train")
