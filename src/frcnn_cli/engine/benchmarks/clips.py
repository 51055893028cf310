"""Frames of a generated video with known objects: photographs through a moving window."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from frcnn_cli.engine.records import GroundTruth, ImageRecord
from frcnn_cli.engine.seeds import generator_for
from frcnn_proposals.base import Image
from frcnn_proposals.images import read_image

WIDTH, HEIGHT = 640, 480
_WINDOW_SIDES = (0.55, 0.95)  # relative to the largest window in the photograph
_LEAST_VISIBLE = 0.5  # objects of which less is visible are difficult
_PASSING_SIDE = 220  # pixels of the longer side of an object that passes

_TO_EDGES = np.array([0, 0, 1, 1])  # from inclusive corners

Clip = Iterator[tuple[Image, GroundTruth]]


def make_clips(records: Sequence[ImageRecord], frames: int) -> Clip:
    """`frames` frames of WIDTH x HEIGHT for each photograph, with their objects.

    The window pans and zooms with constant speed, between two random places and sizes. In every
    second clip, an object cut out of the next photograph passes over the picture.
    """
    for number, record in enumerate(records):
        image, truth = _read(record)
        other = records[(number + 1) % len(records)]
        passing = _largest_object(*_read(other)) if number % 2 else None
        yield from _clip(number, image, truth, frames, passing)


def _read(record: ImageRecord) -> tuple[Image, GroundTruth]:
    return read_image(record.path), record.truth or GroundTruth()


def _clip(
    number: int,
    image: Image,
    truth: GroundTruth,
    frames: int,
    passing: tuple[Image, int] | None,
) -> Clip:
    generator = generator_for("clip", number)
    height, width = image.shape[:2]
    sides = min(width, height * WIDTH / HEIGHT) * generator.uniform(*_WINDOW_SIDES, 2)
    room = np.array([width, height]) - sides[:, None] * [1, HEIGHT / WIDTH]
    corners = generator.uniform(0, 1, (2, 2)) * room
    path = generator.uniform(0, 1, (2, 2))
    for part in np.linspace(0, 1, frames):
        x, y = _between(corners, part).tolist()
        factor = WIDTH / float(_between(sides, part))
        picture = _seen(image, x, y, factor)
        edges = (_edges(truth.boxes) - np.array([x, y, x, y])) * factor
        labels, difficult = truth.labels, truth.difficult | truth.crowd
        visible = np.clip(edges, 0, [WIDTH, HEIGHT, WIDTH, HEIGHT])
        shares = _areas(visible) / _areas(edges)
        if passing is not None:
            pixels, label = passing
            size = np.array([pixels.shape[1], pixels.shape[0]])
            left, top = np.rint(_between(path, part) * ([WIDTH, HEIGHT] - size)).astype(int)
            picture[top : top + size[1], left : left + size[0]] = pixels
            over = np.array([left, top, left + size[0], top + size[1]], np.float64)
            shares = shares - _overlaps(visible, over) / _areas(edges)
            visible, labels = np.concatenate([visible, over[None]]), np.append(labels, label)
            shares, difficult = np.append(shares, 1.0), np.append(difficult, False)
        is_in_frame = (visible[:, 2:] - visible[:, :2] >= 1).all(axis=1)
        boxes = (visible - _TO_EDGES)[is_in_frame].astype(np.float32)
        difficult = (difficult | (shares < _LEAST_VISIBLE))[is_in_frame]
        yield picture, GroundTruth(boxes, labels[is_in_frame], difficult)


def _between(ends: NDArray[np.float64], part: float) -> NDArray[np.float64]:
    return np.asarray(ends[0] + (ends[1] - ends[0]) * part)


def _seen(image: Image, x: float, y: float, factor: float) -> Image:
    """The window whose upper left corner is at x, y, enlarged by `factor`."""
    half = (factor - 1) / 2  # OpenCV's coordinates are those of the centres of pixels
    matrix = np.array([[factor, 0, half - factor * x], [0, factor, half - factor * y]])
    seen = cv2.warpAffine(image, matrix, (WIDTH, HEIGHT), borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(seen, np.uint8)


def _largest_object(image: Image, truth: GroundTruth) -> tuple[Image, int] | None:
    """The largest object that counts: its pixels, resized to _PASSING_SIDE, and its label."""
    counted = np.flatnonzero(~(truth.difficult | truth.crowd))
    if len(counted) == 0:
        return None
    edges = _edges(truth.boxes[counted])
    largest = int(_areas(edges).argmax())
    x1, y1, x2, y2 = edges[largest].astype(int)
    pixels = image[y1:y2, x1:x2]
    factor = _PASSING_SIDE / max(pixels.shape[:2])
    size = [max(1, round(side * factor)) for side in (x2 - x1, y2 - y1)]
    resized = cv2.resize(pixels, size, interpolation=cv2.INTER_AREA)
    return np.asarray(resized, np.uint8), int(truth.labels[counted[largest]])


def _edges(boxes: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.asarray(boxes + _TO_EDGES, np.float64)


def _areas(edges: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray((edges[:, 2:] - edges[:, :2]).prod(axis=1))


def _overlaps(edges: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    lower = np.maximum(edges[:, :2], other[:2])
    upper = np.minimum(edges[:, 2:], other[2:])
    return np.asarray(np.clip(upper - lower, 0, None).prod(axis=1))
