"""The rule for image ids."""

from __future__ import annotations

import pytest

from frcnn_proposals.image_ids import (
    ids_of_paths,
    longer_where_repeated,
    paths_below,
    without_suffix,
)


@pytest.mark.parametrize(
    ("path", "image_id"),
    [
        ("a.jpg", "a"),
        ("sub/b.PNG", "sub/b"),
        ("000012", "000012"),
        ("holiday.2019", "holiday.2019"),
        ("v1.5/frame", "v1.5/frame"),
        ("frame.0001.jpeg", "frame.0001"),
        (".jpg", ".jpg"),
    ],
)
def test_only_the_suffix_of_an_image_is_removed(path: str, image_id: str) -> None:
    assert without_suffix(path) == image_id


def test_images_that_differ_only_in_suffix_keep_it() -> None:
    paths = ["a.jpg", "sub/a.jpg", "a.png", "b.jpg", "c", "c.gif"]
    assert ids_of_paths(paths) == ["a.jpg", "sub/a", "a.png", "b", "c", "c.gif"]


def test_a_kept_suffix_does_not_make_two_ids_equal() -> None:
    assert ids_of_paths(["a.jpg", "a.png", "a.jpg.jpg"]) == ["a.jpg", "a.png", "a.jpg.jpg"]


def test_equal_paths_stay_equal() -> None:
    assert ids_of_paths(["a.jpg", "a.jpg"]) == ["a.jpg", "a.jpg"]


def test_only_repeated_ids_become_longer() -> None:
    ids = {1: "a", 2: "a", 3: "b", 4: "x/a"}
    assert longer_where_repeated(ids, lambda key: f"{key}/a") == {
        1: "1/a",
        2: "2/a",
        3: "b",
        4: "x/a",
    }


def test_a_longer_id_that_equals_another_one_makes_that_one_longer_too() -> None:
    ids = {1: "a", 2: "a", 3: "1/a"}
    assert longer_where_repeated(ids, lambda key: f"{key}/{ids[key]}") == {
        1: "1/a",
        2: "2/a",
        3: "3/1/a",
    }


def test_ids_that_stay_equal_end_the_search() -> None:
    assert longer_where_repeated({1: "a", 2: "a"}, lambda key: "b") == {1: "b", 2: "b"}


def test_paths_below_a_folder_or_below_the_folder_that_contains_all() -> None:
    assert paths_below("/data", ["/data/a/1.jpg", "/data/2.jpg"]) == ["a/1.jpg", "2.jpg"]
    assert paths_below("/lists", ["/data/a/1.jpg", "/data/b/1.jpg"]) == ["a/1.jpg", "b/1.jpg"]
    assert paths_below("x", ["x/../y/1.jpg", "y/z/1.jpg"]) == ["1.jpg", "z/1.jpg"]
