"""Captions of boxes, placed where there is room."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import ImageDraw

from frcnn_cli.engine.drawing.colours import Colour, ink_on
from frcnn_cli.engine.drawing.fonts import pillow_font

_LONGEST = 100  # characters
_PADDING = 3  # pixels around the text


@dataclass(frozen=True)
class Caption:
    """A text and the box that it belongs to: x1, y1, x2, y2 in pixels."""

    box: tuple[float, float, float, float]
    text: str
    colour: Colour


def line_width(size: tuple[int, int]) -> int:
    """The width of the lines on an image of this width and height."""
    return max(2, round(min(size) / 200))


def draw_captions(
    draw: ImageDraw.ImageDraw, captions: Sequence[Caption], size: tuple[int, int]
) -> None:
    """Draw the captions, the most important first in the list, on backgrounds of their colours.

    size: width and height of the image. Call it after all boxes are drawn, so that no line
    crosses a text. If there is no room left, a less important caption is below the others.
    """
    texts = [caption.text[:_LONGEST] for caption in captions]
    fonts = [pillow_font(text, max(11, min(size) / 30)) for text in texts]
    bounds = [
        draw.textbbox((0, 0), text, font=font) for text, font in zip(texts, fonts, strict=True)
    ]
    extents = np.array(
        [(right - left, bottom - top) for left, top, right, bottom in bounds], np.float64
    ).reshape(-1, 2)
    boxes = np.array([caption.box for caption in captions], np.float64).reshape(-1, 4)
    corners = place_captions(boxes, extents + 2 * _PADDING, size)
    for index in reversed(range(len(captions))):
        left, top, right, bottom = bounds[index]
        colour = captions[index].colour
        x, y = corners[index].tolist()
        background = (x, y, x + right - left + 2 * _PADDING, y + bottom - top + 2 * _PADDING)
        draw.rectangle(background, fill=colour)
        text_corner = (x + _PADDING - left, y + _PADDING - top)
        draw.text(text_corner, texts[index], fill=ink_on(colour), font=fonts[index])


def place_captions(
    boxes: NDArray[np.float64], extents: NDArray[np.float64], size: tuple[int, int]
) -> NDArray[np.float64]:
    """Upper left corners (N, 2) of captions, at the edges of their boxes and inside the image.

    boxes: (N, 4), the most important first. extents: (N, 2) widths and heights. Each caption
    takes the first of its places that overlaps no earlier caption, otherwise the one that
    overlaps them least.
    """
    taken = np.zeros((0, 4))
    room = np.array(size, np.float64)
    for box, extent in zip(boxes, extents, strict=True):
        places = _places(box, extent)
        inside = np.clip(places, 0, np.maximum(0, room - extent))
        # A place outside the image moves along its edge of the box, but not across the box.
        fits = np.abs(inside - places)[:, 1] == 0
        inside = inside[fits] if fits.any() else inside
        rectangles = np.hstack([inside, inside + extent])
        covered = _overlaps(rectangles, taken).sum(axis=1)
        taken = np.vstack([taken, rectangles[covered.argmin()]])
    return taken[:, :2]


def _places(box: NDArray[np.float64], extent: NDArray[np.float64]) -> NDArray[np.float64]:
    """The corners of a caption's places at its box, the best first."""
    (x1, y1, x2, y2), (width, height) = box, extent
    right, bottom = x2 - width, y2 - height
    above, inside, below, inside_below = y1 - height, y1, y2, bottom
    return np.array(
        [
            *((x1, above), (x1, inside), (x1, below), (x1, inside_below)),
            *((right, above), (right, inside), (right, below), (right, inside_below)),
            *((x2, y1), (x1 - width, y1), (x2, bottom), (x1 - width, bottom)),
        ]
    )


def _overlaps(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Common area (A, B) of rectangles (A, 4) and (B, 4)."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, 2:], b[None, :, 2:])
    areas: NDArray[np.float64] = np.maximum(high - low, 0).prod(axis=2)
    return areas
