"""Files whose maximum corner is one past the last pixel, and lists that do not state it."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from frcnn_proposals.base import Proposals
from frcnn_proposals.errors import InputError
from frcnn_proposals.formats import read_proposals, write_proposals

SIZE = (100, 60)
WHOLE_IMAGE = [0, 0, 100, 60]  # [0, width] and [0, height], as MMDetection 2, 3 and Detectron2


def pkl(path: Path, value: Any) -> Path:
    path.write_bytes(pickle.dumps(value))
    return path


def files(folder: Path, table: list[list[float]]) -> dict[str, Path]:
    """The same boxes of image 7 in each format with continuous corners."""
    boxes = np.array(table, np.float32)
    scores = np.ones(len(boxes), np.float32)
    return {
        "mmdet2": pkl(folder / "2.pkl", [np.column_stack((boxes, scores))]),
        "mmdet3": pkl(folder / "3.pkl", {"images/7.jpg": {"bboxes": boxes, "scores": scores}}),
        "detectron2": pkl(
            folder / "d.pkl", {"ids": ["7"], "boxes": [boxes], "objectness_logits": [scores]}
        ),
    }


def read(path: Path, **options: Any) -> list[list[float]]:
    found = read_proposals(path, image_ids=["7"], size_of={"7": SIZE}.get, **options)
    return found["7"].boxes.tolist()


@pytest.mark.parametrize("format", ["mmdet2", "mmdet3", "detectron2"])
def test_the_whole_image_ends_at_its_last_pixel(tmp_path: Path, format: str) -> None:
    path = files(tmp_path, [WHOLE_IMAGE, [11, 5, 41, 25]])[format]
    assert read(path) == [[0, 0, 99, 59], [11, 5, 40, 24]]


@pytest.mark.parametrize("format", ["mmdet2", "mmdet3", "detectron2"])
def test_a_side_shorter_than_a_pixel_is_the_pixel_in_which_it_begins(
    tmp_path: Path, format: str
) -> None:
    """Region proposal networks clip boxes to the image, which leaves such sides."""
    path = files(tmp_path, [[99.5, 0, 100, 0.25], [10.75, 5, 11.25, 25]])[format]
    assert read(path) == [[99, 0, 99, 0], [10, 5, 10, 24]]


def test_a_side_of_one_pixel_keeps_its_place_in_float32(tmp_path: Path) -> None:
    x = np.float32(40.3)
    path = files(tmp_path, [[float(x), 5, float(x + np.float32(1)), 25]])["mmdet2"]
    ((x1, _, x2, _),) = read(path)
    assert x1 == x
    assert x2 == pytest.approx(x, abs=1e-5)


@pytest.mark.parametrize("format", ["mmdet2", "mmdet3", "detectron2"])
def test_a_side_without_length_is_inverted(tmp_path: Path, format: str) -> None:
    path = files(tmp_path, [[10, 5, 10, 25]])[format]
    with pytest.raises(InputError, match="x2 < x1"):
        read(path)


@pytest.mark.parametrize("format", ["mmdet2", "mmdet3"])
def test_files_with_inclusive_corners_are_read_with_the_option(tmp_path: Path, format: str) -> None:
    """MMDetection 1, and conversions by earlier versions of this toolkit."""
    path = files(tmp_path, [[0, 0, 99, 59], [3, 7, 3, 9]])[format]
    assert read(path, corners="inclusive", format=format) == [[0, 0, 99, 59], [3, 7, 3, 9]]


@pytest.mark.parametrize("format", ["mmdet2", "mmdet3", "detectron2"])
def test_written_corners_are_continuous_without_loss(tmp_path: Path, format: str) -> None:
    # 1 more than 0.1 is not a float32 that leads back to 0.1.
    boxes = np.array([[0.1, 0.1, 0.1, 7], [0, 0, 99, 59]], np.float32)
    given = {"7": Proposals(boxes, [2, 1])}
    path = tmp_path / "a"
    write_proposals(path, given, format, image_ids=["7"], image_paths={"7": Path("x/7.jpg")})
    np.testing.assert_array_equal(read(path), boxes)
    value = pickle.loads(path.read_bytes())
    table = {
        "mmdet2": lambda: value[0],
        "mmdet3": lambda: value["x/7.jpg"]["bboxes"],
        "detectron2": lambda: value["boxes"][0],
    }[format]()
    assert table[1, :4].tolist() == WHOLE_IMAGE


class TestListsOfTables:
    """A list of N x 4 can be one of MMDetection 2, or one of py-faster-rcnn."""

    def test_it_is_not_guessed(self, tmp_path: Path) -> None:
        path = pkl(tmp_path / "a.pkl", [np.array([[11, 5, 41, 25]])])
        with pytest.raises(InputError, match=r"mmdet2.*continuous.*py-faster-rcnn.*inclusive"):
            read(path)
        assert read(path, format="mmdet2") == [[11, 5, 40, 24]]
        assert read(path, corners="inclusive") == [[11, 5, 41, 25]]

    def test_a_box_that_ends_past_the_last_pixel_is_continuous(self, tmp_path: Path) -> None:
        path = pkl(tmp_path / "a.pkl", [np.array([WHOLE_IMAGE])])
        assert read(path) == [[0, 0, 99, 59]]

    def test_a_box_of_one_column_is_inclusive(self, tmp_path: Path) -> None:
        path = pkl(tmp_path / "a.pkl", [np.array([[3, 7, 3, 9]])])
        assert read(path) == [[3, 7, 3, 9]]
