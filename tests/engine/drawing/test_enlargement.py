"""Small images are drawn enlarged: captions would cover them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from frcnn_cli.engine.detection.outputs import DetectionOutputs
from frcnn_cli.engine.drawing.colours import class_colour
from frcnn_cli.engine.drawing.detections import draw_detections, enlarge
from frcnn_cli.engine.drawing.enlargement import enlarged_boxes, enlargement
from frcnn_cli.engine.proposals.draw import best_boxes, draw_best_boxes, draw_first_boxes
from frcnn_cli.engine.records import Detections, GroundTruth
from frcnn_proposals.base import Proposals

CLASSES = ("aeroplane", "person", "car")
FOUND = Detections(
    np.array([[5, 5, 40, 40], [20, 10, 60, 45], [30, 20, 50, 47]], np.float32),
    np.array([0.95, 0.8, 0.6], np.float32),
    np.array([1, 2, 3]),
)
GREY = np.full((48, 64, 3), 90, np.uint8)


@pytest.mark.parametrize(
    ("width", "height", "factor"),
    [
        (64, 48, 5),
        (48, 64, 5),
        (95, 95, 3),
        (96, 96, 1),
        (500, 375, 1),
        (1, 1, 240),
        (1500, 20, 1),  # twice as many would be too long
        (5000, 20, 1),
    ],
)
def test_the_factor(width: int, height: int, factor: int) -> None:
    assert enlargement(np.zeros((height, width, 3), np.uint8)) == factor


def test_most_of_a_small_image_is_visible(tmp_path: Path) -> None:
    DetectionOutputs(annotated=tmp_path).write_image("a", GREY, FOUND, CLASSES)
    written = np.asarray(PIL.Image.open(tmp_path / "a.jpg")).astype(int)
    assert written.shape == (240, 320, 3)
    assert (np.abs(written - 90).max(axis=2) < 20).mean() > 0.75
    assert (np.abs(draw_detections(GREY, FOUND, CLASSES) - 90.0).max(axis=2) < 20).mean() < 0.5


def test_boxes_are_at_the_same_pixels() -> None:
    """The lines of a box are at the outer edges of its corner pixels."""
    pixels = GREY.copy()
    pixels[20:48, 30:51] = 200  # the pixels of the last box
    image, found = enlarge(pixels, FOUND.take([2]))
    assert found.boxes.tolist() == [[150, 100, 254, 239]]
    assert found.boxes.dtype == np.float32
    assert image[120:235, 155:250].min() > 195  # a fifth of a pixel is mixed with its neighbour
    assert image[:90].max() < 95
    drawn = draw_detections(image, found, CLASSES)
    is_line = (drawn == class_colour(3)).all(axis=2)
    rows, columns = np.flatnonzero(is_line[:, 240]), np.flatnonzero(is_line[230])
    assert (rows[-1], columns[0], columns[-1]) == (239, 150, 254)


def test_a_larger_image_is_not_changed() -> None:
    large = np.zeros((96, 128, 3), np.uint8)
    image, found = enlarge(large, FOUND)
    assert image is large
    np.testing.assert_array_equal(found.boxes, FOUND.boxes)
    assert draw_detections(GREY, FOUND, CLASSES).shape == GREY.shape  # as for videos


def test_proposals_of_a_small_image() -> None:
    truth = GroundTruth(FOUND.boxes, FOUND.labels, np.zeros(3, bool))
    drawn = draw_best_boxes(GREY, best_boxes(truth, Proposals(FOUND.boxes)), CLASSES)
    assert drawn.shape == (240, 320, 3)
    assert (drawn == 90).all(axis=2).mean() > 0.7
    first = draw_first_boxes(GREY, Proposals(FOUND.boxes[:1]), 1)
    x1, y1, x2, y2 = enlarged_boxes(FOUND.boxes[0], 5).astype(int).tolist()
    rows, columns = np.nonzero((first != 90).any(axis=2))
    assert (columns.min(), rows.min(), columns.max(), rows.max()) == (x1, y1, x2, y2)
