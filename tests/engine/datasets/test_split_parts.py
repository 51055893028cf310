"""Parts of splits: held-out images, and lists of ids."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
from folders import write_voc

from frcnn_cli.engine.datasets.find import find_dataset
from frcnn_cli.engine.datasets.split_lists import write_split_lists
from frcnn_cli.engine.datasets.split_parts import held_out
from frcnn_cli.engine.records import Dataset
from frcnn_proposals.errors import InputError, MisuseError

NAMES = [f"image {number}" for number in range(30)]
DOG = ("dog", (1, 1, 9, 9))
NONE = Dataset("pets", "all", (), ())


@pytest.fixture
def pets(tmp_path: Path) -> str:
    return str(write_voc(tmp_path / "pets", {"default": NAMES}, {name: [DOG] for name in NAMES}))


def ids(name: str, split: str) -> list[str]:
    return [image.image_id for image in find_dataset(name, split).images]


def test_held_out_images_are_those_with_a_small_sha256(pets: str) -> None:
    expected = [
        name
        for name in NAMES
        if int(hashlib.sha256(name.encode()).hexdigest()[:12], 16) / 16**12 < 0.2
    ]
    assert 2 <= len(expected) <= 12
    assert ids(pets, "all:val:0.2") == expected
    assert ids(pets, "all:train:0.2") == [name for name in NAMES if name not in expected]
    assert find_dataset(pets, "all:val:0.2").split == "val"
    assert find_dataset(pets, "all:train:0.2").split == "train"


def test_an_image_stays_on_its_side_when_images_are_added() -> None:
    few, many = held_out(NAMES[:20], 0.3, NONE), held_out(NAMES, 0.3, NONE)
    assert few == many & set(NAMES[:20])


def test_the_share_is_that_of_many_images() -> None:
    held = held_out(map(str, range(10_000)), 0.2, NONE)
    assert np.isclose(len(held), 2000, atol=160)  # four standard deviations


def test_both_sides_have_an_image() -> None:
    for share in (0.0001, 0.9999):
        assert 0 < len(held_out(["a", "b", "c"], share, NONE)) < 3
    with pytest.raises(MisuseError, match="only one image"):
        held_out(["a"], 0.5, NONE)


def test_versions_of_one_image_stay_together() -> None:
    """Otherwise a model is evaluated on images that it was trained on, turned or brighter."""
    versions = [f"{name}_jpg.rf.{digit * 32}" for name in NAMES for digit in "0a"]
    held = held_out(versions, 0.3, NONE)
    sources = [name.partition(".rf.")[0] for name in held]
    assert 0 < len(held) < len(versions)
    assert all(sources.count(source) == 2 for source in sources)


def test_lists_are_the_parts_and_are_read_in_their_order(pets: str, tmp_path: Path) -> None:
    lists = write_split_lists(pets, tmp_path / "lists", 0.2)
    assert (lists.split, lists.train_images + lists.val_images) == ("all", 30)
    assert ids(pets, str(lists.val)) == ids(pets, "all:val:0.2")
    assert ids(pets, str(lists.train)) == ids(pets, "all:train:0.2")
    with pytest.raises(MisuseError, match="already exists"):
        write_split_lists(pets, tmp_path / "lists", 0.3)
    mine = tmp_path / "mine.txt"
    mine.write_text("image 7\nimage 3\nimage 7\n")
    assert ids(pets, str(mine)) == ["image 7", "image 3"]
    assert find_dataset(pets, str(mine)).split == "mine"


def test_a_list_can_name_images_of_several_splits(tmp_path: Path) -> None:
    root = write_voc(
        tmp_path / "pets", {"train": ["a", "b"], "val": ["c"]}, {name: [DOG] for name in "abc"}
    )
    (tmp_path / "mine.txt").write_text("c\na\n")
    assert ids(str(root), str(tmp_path / "mine.txt")) == ["c", "a"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("image 3\nimage x\n", "1 of 2 ids has no image in .*image x"),
        ("\n", "lists no images"),
        (None, "mine.txt: this file does not exist"),
    ],
)
def test_a_wrong_list_is_an_error(
    pets: str, tmp_path: Path, content: str | None, message: str
) -> None:
    if content is not None:
        (tmp_path / "mine.txt").write_text(content)
    with pytest.raises(InputError, match=message):
        find_dataset(pets, str(tmp_path / "mine.txt"))


@pytest.mark.parametrize("split", ["all:val:0", "all:val:1", "all:val:1e", "all:val:-1"])
def test_a_wrong_share_is_misuse(pets: str, split: str) -> None:
    with pytest.raises(MisuseError, match="must be between 0 and 1"):
        find_dataset(pets, split)


def test_an_unknown_split_of_a_part_is_misuse(pets: str) -> None:
    with pytest.raises(MisuseError, match="Unknown split 'test'"):
        find_dataset(pets, "test:val:0.2")
