"""Proposals drawn on an image: the best for each object, or the first ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image as PillowImage
from PIL import ImageDraw, ImageFont

from frcnn_cli.engine.boxes import iou_matrix
from frcnn_cli.engine.drawing.detections import class_colour
from frcnn_cli.engine.records import GroundTruth
from frcnn_proposals.base import Image, Proposals


@dataclass(frozen=True)
class BestBox:
    """The proposal that overlaps an object most. rank: its place in the list, from 0."""

    label: int
    truth: NDArray[np.float32]
    box: NDArray[np.float32] | None
    iou: float
    rank: int


def best_boxes(truth: GroundTruth, proposals: Proposals) -> list[BestBox]:
    """For each object the first proposal of the highest IoU; box None where there are none."""
    if len(proposals) == 0:
        return [
            BestBox(int(label), box, None, 0.0, -1)
            for label, box in zip(truth.labels, truth.boxes, strict=True)
        ]
    overlaps = iou_matrix(truth.boxes, proposals.boxes)
    ranks = overlaps.argmax(axis=1)
    return [
        BestBox(
            int(truth.labels[index]),
            truth.boxes[index],
            proposals.boxes[rank],
            float(overlaps[index, rank]),
            int(rank),
        )
        for index, rank in enumerate(ranks)
    ]


def draw_best_boxes(image: Image, best: Sequence[BestBox], classes: Sequence[str]) -> Image:
    """A copy of an RGB image (H, W, 3): each object in white, its best box in a colour with
    class and IoU.
    """
    canvas = PillowImage.fromarray(image)
    draw = ImageDraw.Draw(canvas)
    shorter = min(canvas.size)
    line = max(2, round(shorter / 200))
    font = ImageFont.load_default(size=max(11, shorter / 30))
    for each in best:
        draw.rectangle(_corners(each.truth), outline="white", width=line)
    for each in best:
        if each.box is not None:
            draw.rectangle(_corners(each.box), outline=class_colour(each.label), width=line)
    # Captions last, so that no line goes through them.
    for each in best:
        x, y, _, _ = _corners(each.truth if each.box is None else each.box)
        text = f"{classes[each.label - 1]} IoU {each.iou:.2f}"
        _, _, right, bottom = draw.textbbox((0, 0), text, font=font)
        x = min(max(0.0, x), max(0.0, canvas.width - right - 4))
        y = min(max(0.0, y), max(0.0, canvas.height - bottom - 4))
        plate = (x, y, x + right + 4, y + bottom + 4)
        draw.rectangle(plate, fill="black", outline=class_colour(each.label))
        draw.text((x + 2, y + 2), text, fill="white", font=font)
    return np.asarray(canvas)


def draw_first_boxes(image: Image, proposals: Proposals, count: int) -> Image:
    """A copy of an RGB image (H, W, 3) with the first `count` boxes, the first on top."""
    canvas = PillowImage.fromarray(image)
    draw = ImageDraw.Draw(canvas)
    boxes = proposals.top(count).boxes
    for index in reversed(range(len(boxes))):
        draw.rectangle(_corners(boxes[index]), outline=class_colour(index + 1), width=2)
    return np.asarray(canvas)


def _corners(box: NDArray[np.float32]) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = (float(value) for value in box)
    return x1, y1, x2, y2
