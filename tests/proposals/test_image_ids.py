"""The rule for image ids."""

from __future__ import annotations

import pytest

from frcnn_proposals.image_ids import ids_of_paths, without_suffix


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
