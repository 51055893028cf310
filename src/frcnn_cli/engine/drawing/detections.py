"""Draw detections on an image; no display is required."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw

from frcnn_cli.engine.drawing.fonts import Font, pillow_font
from frcnn_cli.engine.records import Detections
from frcnn_proposals.base import Image

_LONGEST_CAPTION = 100


def draw_detections(image: Image, detections: Detections, classes: Sequence[str]) -> Image:
    """Return a copy of an RGB image (H, W, 3) with a box, class and score per detection.

    Detections with the highest scores are drawn last, on top. Line width and font size scale with
    the image.
    """
    canvas = PillowImage.fromarray(image)
    draw = ImageDraw.Draw(canvas)
    shorter = min(canvas.size)
    line = max(2, round(shorter / 200))
    for index in reversed(range(len(detections))):
        label = int(detections.labels[index])
        colour = class_colour(label)
        box = detections.boxes[index]
        x1, y1, x2, y2 = (float(value) for value in box)
        draw.rectangle((x1, y1, max(x1, x2), max(y1, y2)), outline=colour, width=line)
        text = f"{classes[label - 1]} {detections.scores[index]:.2f}"
        font = pillow_font(text, max(11, shorter / 30))
        _draw_caption(draw, text, (x1, y1), canvas.size, colour, font)
    return np.asarray(canvas)


def annotated_image_path(folder: Path, image_id: str) -> Path:
    """Return the path of an annotated image in the folder of annotated images."""
    return folder / f"{image_id}.jpg"


def class_colour(label: int) -> tuple[int, int, int]:
    """Return a bright colour for a label; successive labels have very different hues."""
    hue = (label * 0.61803398875) % 1.0
    red, green, blue = colorsys.hsv_to_rgb(hue, 0.85, 0.95)
    return round(255 * red), round(255 * green), round(255 * blue)


def _draw_caption(
    draw: ImageDraw.ImageDraw,
    text: str,
    corner: tuple[float, float],
    size: tuple[int, int],
    colour: tuple[int, int, int],
    font: Font,
) -> None:
    """Draw text on a `colour` background, above the corner or, if there is no space, below it."""
    text = text[:_LONGEST_CAPTION]
    left, top, right, bottom = draw.textbbox((0, 0), text, font=font)
    width, height = right - left + 6, bottom - top + 6
    x = min(max(0.0, corner[0]), max(0.0, size[0] - width))
    y = corner[1] - height if corner[1] >= height else max(0.0, corner[1])
    draw.rectangle((x, y, x + width, y + height), fill=colour)
    luminance = 0.299 * colour[0] + 0.587 * colour[1] + 0.114 * colour[2]
    ink = (0, 0, 0) if luminance > 130 else (255, 255, 255)
    draw.text((x + 3 - left, y + 3 - top), text, fill=ink, font=font)
