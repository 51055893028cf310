"""A plain folder of VOC xml files with pictures."""

import pytest
from folders import voc_xml
from PIL import Image

from frcnn_cli.engine.datasets.find import available_splits, default_splits, find_dataset
from frcnn_proposals.errors import InputError

DOG = ("dog", (11, 21, 50, 60))


def write(folder, pictures, **annotations):
    folder.mkdir(parents=True, exist_ok=True)
    pictures.mkdir(parents=True, exist_ok=True)
    for name, objects in annotations.items():
        (folder / f"{name}.xml").write_text(voc_xml(objects))
        Image.new("RGB", (100, 80)).save(pictures / f"{name}.png")


@pytest.mark.parametrize(
    ("xml", "images"), [(".", "."), ("Annotations", "images"), (".", "images")]
)
def test_pictures_beside_the_annotations_or_in_their_folder(tmp_path, xml, images):
    write(tmp_path / xml, tmp_path / images, b=[DOG], a=[("ant", (1, 1, 9, 9)), DOG])
    dataset = find_dataset(str(tmp_path), "all")
    assert dataset.classes == ("ant", "dog")
    assert [image.image_id for image in dataset.images] == ["a", "b"]
    assert dataset.images[1].truth.boxes.tolist() == [[10, 20, 49, 59]]
    assert dataset.images[1].path.resolve() == (tmp_path / images / "b.png").resolve()


def test_without_splits_all_of_it_is_one(tmp_path):
    write(tmp_path, tmp_path, a=[DOG])
    assert available_splits(str(tmp_path)) == {"all": True}
    splits = default_splits(str(tmp_path))
    assert splits.training == splits.evaluation == "all"
    assert not splits.disjoint


def test_subfolders_are_splits_and_share_their_classes(tmp_path):
    write(tmp_path / "train", tmp_path / "train", a=[DOG])
    write(tmp_path / "valid", tmp_path / "valid", b=[("ant", (1, 1, 9, 9))])
    assert find_dataset(str(tmp_path), "train").classes == ("ant", "dog")
    assert default_splits(str(tmp_path)).evaluation == "val"


def test_a_missing_picture_is_a_fault_and_a_stray_one_is_told(tmp_path):
    write(tmp_path, tmp_path, a=[DOG])
    Image.new("RGB", (9, 9)).save(tmp_path / "stray.png")
    faults = []
    assert len(find_dataset(str(tmp_path), "all", report=faults.append)) == 1
    assert [str(fault) for fault in faults] == [
        f"{tmp_path / 'stray.png'}: has no annotation, left out"
    ]
    (tmp_path / "a.png").unlink()
    with pytest.raises(InputError, match=r"a\.xml: its picture is not there"):
        find_dataset(str(tmp_path), "all")
