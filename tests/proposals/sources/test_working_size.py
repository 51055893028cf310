"""Selective search at a bounded working size: boxes in pixels of the given image."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from frcnn_kernels.selective_search import selective_search
from frcnn_proposals.base import Source
from frcnn_proposals.checks import check_proposals
from frcnn_proposals.errors import MisuseError
from frcnn_proposals.images import read_image
from frcnn_proposals.sources.registry import make_source
from frcnn_proposals.sources.selective_search import STRATEGIES
from frcnn_proposals.sources.working_size import (
    WORKING_PIXELS,
    search_at_working_size,
    working_size,
)
from frcnn_proposals.store.provenance import Provenance

NAMES = ["selective-search", "opencv-selective-search"]


def picture() -> np.ndarray:
    """Discs and stripes on noise, 60 x 40."""
    pixels = np.random.default_rng(4).integers(80, 110, (40, 60, 3)).astype(np.uint8)
    y, x = np.mgrid[:40, :60]
    pixels[(x - 18) ** 2 + (y - 20) ** 2 < 12**2] = (210, 40, 50)
    pixels[(x - 45) ** 2 + (y - 12) ** 2 < 7**2] = (30, 60, 220)
    pixels[28:36, 38:56] = (40, 170, 60)
    return pixels


def enlarged(pixels: np.ndarray, factor: int) -> np.ndarray:
    return pixels.repeat(factor, axis=0).repeat(factor, axis=1)


def source(name: str, **parameters: object) -> Source:
    return make_source(name, **parameters)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("mode", ["fast", "quality"])
def test_repeated_pixels_give_the_same_boxes_enlarged(name: str, mode: str) -> None:
    """The mean of equal pixels is exact, so the search sees the small picture again."""
    small = source(name, mode=mode).propose(picture()).boxes
    found = source(name, mode=mode, working_pixels=40 * 60).propose(enlarged(picture(), 4)).boxes
    assert len(small) > 20
    np.testing.assert_array_equal(found[:, :2], small[:, :2] * 4)
    np.testing.assert_array_equal(found[:, 2:], (small[:, 2:] + 1) * 4 - 1)


@pytest.mark.parametrize("mode", ["fast", "quality"])
@pytest.mark.parametrize("limits", [{}, {"min_side": 6}, {"max_boxes": 50}])
def test_images_up_to_the_limit_are_searched_as_they_are(
    shared_data, mode: str, limits: dict[str, int]
) -> None:
    image = read_image(shared_data / "fast-rcnn-demo" / "000004.jpg")
    assert image.shape[0] * image.shape[1] < WORKING_PIXELS
    expected = selective_search(torch.from_numpy(image), **vars(STRATEGIES[mode]), **limits)
    found = source("selective-search", mode=mode, **limits).propose(image)
    np.testing.assert_array_equal(found.boxes, expected.numpy())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(67, 101), (101, 67), (1, 400), (400, 1), (7, 901)])
def test_boxes_of_any_shape_are_inside_and_distinct(name: str, shape: tuple[int, int]) -> None:
    height, width = shape
    image = np.resize(enlarged(picture(), 2), (height, width, 3))
    found = source(name, working_pixels=300).propose(image)
    check_proposals(found, width, height)
    assert len(np.unique(found.boxes, axis=0)) == len(found)
    assert [0, 0, width - 1, height - 1] in found.boxes.tolist()


def test_pixels_are_averaged_not_dropped() -> None:
    seen = []

    def search(pixels: np.ndarray) -> np.ndarray:
        seen.append(pixels)
        return np.array([[1, 0, 1, 2]], np.int32)

    columns = np.zeros((9, 9, 3), np.uint8)
    columns[:, ::3] = 240  # every third column: none, one or more would be left of them
    boxes = search_at_working_size(columns, 9, search)
    assert seen[0].shape == (3, 3, 3)
    assert (seen[0] == 80).all()
    assert boxes.tolist() == [[3, 0, 5, 8]]


@pytest.mark.parametrize("shape", [(300, 401), (302, 404), (640, 1200)])
def test_the_brightness_of_every_part_is_kept(shape: tuple[int, int]) -> None:
    """Averages over areas of any size have the mean of the whole."""
    seen = []

    def search(pixels: np.ndarray) -> np.ndarray:
        seen.append(pixels)
        return np.array([[0, 0, 0, 0]])

    image = np.random.default_rng(2).integers(0, 256, (*shape, 3)).astype(np.uint8)
    image[: shape[0] // 2] //= 2
    search_at_working_size(image, 5_000, search)
    rows = len(seen[0]) // 2
    for part, reduced in ((image[: shape[0] // 2], seen[0][:rows]), (image, seen[0])):
        assert reduced.mean() == pytest.approx(part.mean(), abs=1.5)


def test_edges_are_rounded_to_the_nearest_pixel() -> None:
    """10 columns from 4: the edges of column 1 are at 2.5 and 5."""

    def search(pixels: np.ndarray) -> np.ndarray:
        assert pixels.shape == (4, 4, 3)
        return np.array([[1, 1, 1, 1], [0, 0, 3, 3]])

    boxes = search_at_working_size(np.zeros((10, 10, 3), np.uint8), 16, search)
    assert boxes.tolist() == [[3, 3, 4, 4], [0, 0, 9, 9]]


def test_the_shortest_side_is_in_pixels_of_the_image() -> None:
    image, limit = enlarged(picture(), 3), 40 * 60
    everything = source("selective-search", working_pixels=limit).propose(image).boxes
    sides = (everything[:, 2:] - everything[:, :2] + 1).min(axis=1)
    assert (sides < 30).any()
    found = source("selective-search", working_pixels=limit, min_side=30, max_boxes=9)
    np.testing.assert_array_equal(found.propose(image).boxes, everything[sides >= 30][:9])


@pytest.mark.parametrize(
    "size", [(4000, 3000), (3000, 4000), (12000, 1000), (501, 500), (9, 10**7)]
)
def test_the_working_size_keeps_the_ratio(size: tuple[int, int]) -> None:
    width, height = working_size(*size, WORKING_PIXELS)
    assert 0.99 * WORKING_PIXELS < width * height <= WORKING_PIXELS or min(width, height) == 1
    if min(size) > 500:
        assert width / height == pytest.approx(size[0] / size[1], rel=0.01)


@pytest.mark.parametrize("size", [(1, 1), (500, 375), (500, 500), (1, WORKING_PIXELS)])
def test_smaller_images_keep_their_size(size: tuple[int, int]) -> None:
    assert working_size(*size, WORKING_PIXELS) == size
    assert working_size(*size, None) == size


@pytest.mark.parametrize("side", [65, 77, 83])
def test_one_pixel_is_left_of_a_square(side: int) -> None:
    assert working_size(side, side, 1) == (1, 1)


def test_the_limit_may_be_written_as_a_float() -> None:
    """As JSON reads 1e3."""
    assert all(type(side) is int for side in working_size(400, 300, 1e3))  # type: ignore[arg-type]


def test_without_a_limit_large_images_keep_their_size() -> None:
    assert working_size(4000, 3000, None) == (4000, 3000)


@pytest.mark.parametrize("name", NAMES)
def test_the_limit_is_stored_with_the_boxes_and_checked(name: str) -> None:
    assert source(name).parameters["working_pixels"] == WORKING_PIXELS
    prints = {Provenance.of(source(name, working_pixels=limit)).fingerprint for limit in (9, None)}
    assert len(prints) == 2
    with pytest.raises(MisuseError, match="working_pixels must be at least 1, not 0"):
        source(name, working_pixels=0)


@pytest.mark.parametrize(
    ("parameters", "before"),
    [
        ({"mode": "fast"}, {"mode": "fast"}),
        ({"a": {"mode": "fast"}, "b": {}}, {"a": {"mode": "fast"}, "b": {}}),
    ],
)
def test_boxes_of_older_versions_are_not_computed_again(
    parameters: dict[str, Any], before: dict[str, Any]
) -> None:
    """Their stores do not have the parameter, at any level of the parameters."""
    inner = next((v for v in parameters.values() if isinstance(v, dict)), parameters)
    inner["working_pixels"] = WORKING_PIXELS
    older = Provenance("search", "1", before).fingerprint
    assert Provenance("search", "1", parameters).fingerprint == older
    inner["working_pixels"] = WORKING_PIXELS + 1
    assert Provenance("search", "1", parameters).fingerprint != older
