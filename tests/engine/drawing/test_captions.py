"""Captions do not cover each other while there is room, and stay at their boxes."""

from __future__ import annotations

import itertools
from dataclasses import replace

import cv2
import numpy as np
import pytest

from frcnn_cli.engine.drawing.captions import place_captions
from frcnn_cli.engine.drawing.colours import Colour, class_colour, ink_on
from frcnn_cli.engine.drawing.detections import draw_detections
from frcnn_cli.engine.records import Detections

SIZE = (320, 240)
CASES = {
    "the same corner": [(50, 60, 150, 160), (50, 60, 200, 220)],
    "the same box, four times": [(50, 60, 150, 160)] * 4,
    "at the upper edge": [(50, 0, 150, 160), (60, 2, 180, 120)],
    "in the corners": [(0, 0, 30, 30), (290, 0, 319, 30), (0, 210, 30, 239), (290, 210, 319, 239)],
    "the whole image, twice": [(0, 0, 319, 239)] * 2,
    "side by side": [(100, 100, 120, 180), (125, 100, 145, 180), (150, 100, 170, 180)],
}


def common_area(a: list[float], b: list[float]) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    return max(width, 0) * max(height, 0)


@pytest.mark.parametrize("name", CASES)
def test_captions_are_apart_inside_the_image_and_at_their_boxes(name: str) -> None:
    boxes = np.array(CASES[name], np.float64)
    extents = np.tile([70.0, 16.0], (len(boxes), 1))
    corners = place_captions(boxes, extents, SIZE)
    captions = np.hstack([corners, corners + extents]).tolist()
    for a, b in itertools.combinations(captions, 2):
        assert common_area(a, b) == 0
    for (x1, y1, x2, y2), box in zip(captions, boxes.tolist(), strict=True):
        assert 0 <= x1 < x2 <= SIZE[0]
        assert 0 <= y1 < y2 <= SIZE[1]
        assert common_area([x1, y1, x2 + 1, y2 + 1], [box[0], box[1], box[2] + 1, box[3] + 1]) > 0


def test_a_single_caption_is_above_its_box() -> None:
    corners = place_captions(np.array([[50.0, 60, 150, 160]]), np.array([[70.0, 16]]), SIZE)
    assert corners.tolist() == [[50, 44]]


def test_without_room_every_caption_is_inside_the_image() -> None:
    boxes = np.tile([10.0, 5, 30, 20], (40, 1))
    corners = place_captions(boxes, np.tile([90.0, 16], (40, 1)), (100, 30))
    assert (corners >= 0).all()
    assert (corners <= (100 - 90, 30 - 16)).all()


def test_captions_wider_than_the_image_begin_at_its_edge() -> None:
    corners = place_captions(np.array([[5.0, 5, 9, 9]]), np.array([[90.0, 16]]), (20, 12))
    assert corners.tolist() == [[0, 0]]


def test_nothing_covers_a_caption() -> None:
    """Drawing a second detection at the same corner hides nothing of the first caption."""
    image = np.full((240, 320, 3), 90, np.uint8)
    both = Detections(
        np.array([[50, 60, 150, 160], [50, 60, 200, 220]], np.float32),
        np.array([0.9, 0.8], np.float32),
        np.array([1, 2]),
    )
    drawn = draw_detections(image, both, ("disc", "triangle"))
    for index in range(2):
        one = replace(
            both,
            boxes=both.boxes[[index]],
            scores=both.scores[[index]],
            labels=both.labels[[index]],
        )
        colour = class_colour(index + 1)
        alone = (draw_detections(image, one, ("disc", "triangle")) == colour).all(axis=2).sum()
        # The line of the first box hides part of the second one's, not of its caption.
        assert (drawn == colour).all(axis=2).sum() > 0.75 * alone


def test_colours_of_classes_are_far_apart() -> None:
    """In CIELAB by OpenCV, where 2.3 is a just noticeable difference."""
    colours = np.array([class_colour(label) for label in range(1, 81)], np.float32) / 255
    lab = cv2.cvtColor(colours[None], cv2.COLOR_RGB2LAB)[0]
    apart = np.linalg.norm(lab[:, None] - lab[None], axis=2) + 1e3 * np.eye(80)
    assert apart[:6, :6].min() > 60
    assert apart[:20, :20].min() > 30
    assert apart.min() > 10
    assert lab[:, 0].min() > 40
    assert colours.max(axis=1).min() > 0.65  # none is dull


def luminance(colour: Colour) -> float:
    """The relative luminance of WCAG 2."""
    parts = [value / 255 for value in colour]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_every_caption_is_readable() -> None:
    """Text and background have the contrast that WCAG AA requires."""
    for label in range(1, 129):
        colour = class_colour(label)
        dark, bright = sorted((luminance(colour), luminance(ink_on(colour))))
        assert (bright + 0.05) / (dark + 0.05) >= 4.5, label


def test_any_label_has_a_colour() -> None:
    assert class_colour(1) == class_colour(129)
    assert len({class_colour(label) for label in range(1, 129)}) == 128
