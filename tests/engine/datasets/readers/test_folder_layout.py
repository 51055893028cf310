"""A plain folder of VOC xml files with images."""

import pytest
from folders import voc_xml
from PIL import Image

from frcnn_cli.engine.datasets.find import available_splits, default_splits, find_dataset
from frcnn_proposals.errors import InputError

DOG = ("dog", (11, 21, 50, 60))


def write(folder, image_folder, **annotations):
    folder.mkdir(parents=True, exist_ok=True)
    image_folder.mkdir(parents=True, exist_ok=True)
    for name, objects in annotations.items():
        (folder / f"{name}.xml").write_text(voc_xml(objects))
        Image.new("RGB", (100, 80)).save(image_folder / f"{name}.png")


@pytest.mark.parametrize(
    ("xml", "images"), [(".", "."), ("Annotations", "images"), (".", "images")]
)
def test_images_next_to_the_annotations_or_in_another_folder(tmp_path, xml, images):
    write(tmp_path / xml, tmp_path / images, b=[DOG], a=[("ant", (1, 1, 9, 9)), DOG])
    dataset = find_dataset(str(tmp_path), "all")
    assert dataset.classes == ("ant", "dog")
    assert [image.image_id for image in dataset.images] == ["a", "b"]
    assert dataset.images[1].truth.boxes.tolist() == [[10, 20, 49, 59]]
    assert dataset.images[1].path.resolve() == (tmp_path / images / "b.png").resolve()


def test_without_split_folders_all_images_are_one_split(tmp_path):
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


def test_a_missing_image_is_a_fault_and_an_extra_one_is_reported(tmp_path):
    write(tmp_path, tmp_path, a=[DOG])
    Image.new("RGB", (9, 9)).save(tmp_path / "extra.png")
    faults = []
    assert len(find_dataset(str(tmp_path), "all", report=faults.append)) == 1
    assert [str(fault) for fault in faults] == [
        f"{tmp_path / 'extra.png'}: has no annotation, skipped"
    ]
    (tmp_path / "a.png").unlink()
    with pytest.raises(InputError, match=r"a\.xml: its image is missing"):
        find_dataset(str(tmp_path), "all")


def test_two_folders_of_one_split_are_an_error(tmp_path):
    for name in ("val", "valid", "train"):
        write(tmp_path / name, tmp_path / name, a=[DOG])
    with pytest.raises(InputError, match="val and valid are both val"):
        find_dataset(str(tmp_path), "train")
