"""Draw detections on an image; no display is required."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image as PillowImage
from PIL import ImageDraw

from frcnn_cli.engine.drawing.captions import Caption, draw_captions, line_width
from frcnn_cli.engine.drawing.colours import class_colour
from frcnn_cli.engine.drawing.enlargement import enlarged_boxes, enlarged_image, enlargement
from frcnn_cli.engine.records import Detections
from frcnn_proposals.base import Image


def draw_detections(image: Image, detections: Detections, classes: Sequence[str]) -> Image:
    """Return a copy of an RGB image (H, W, 3) with a box, class and score per detection.

    Detections with the highest scores are drawn last, on top. Line width and font size scale with
    the image.
    """
    canvas = PillowImage.fromarray(image)
    draw = ImageDraw.Draw(canvas)
    captions = []
    for box, label, score in zip(
        detections.boxes.tolist(), detections.labels.tolist(), detections.scores, strict=True
    ):
        x1, y1, x2, y2 = box
        corners = (x1, y1, max(x1, x2), max(y1, y2))
        captions.append(Caption(corners, f"{classes[label - 1]} {score:.2f}", class_colour(label)))
    for caption in reversed(captions):
        draw.rectangle(caption.box, outline=caption.colour, width=line_width(canvas.size))
    draw_captions(draw, captions, canvas.size)
    return np.asarray(canvas)


def enlarge(image: Image, detections: Detections) -> tuple[Image, Detections]:
    """The image and its detections, both enlarged if it is small, for draw_detections."""
    factor = enlargement(image)
    boxes = enlarged_boxes(detections.boxes, factor)
    return enlarged_image(image, factor), replace(detections, boxes=boxes)


def annotated_image_path(folder: Path, image_id: str) -> Path:
    """Return the path of an annotated image in the folder of annotated images."""
    return folder / f"{image_id}.jpg"
