"""detections.py DETECTIONS DATASET SPLIT OUT: a figure of detections, without the images' pixels.

It shows the first twelve images of the split. Objects are grey (difficult ones lighter);
detections with a score of at least 0.5 are drawn as by `frcnn detect --viz`. DETECTIONS is a file
written by `frcnn eval --save-detections`. Datasets are found as by the commands.
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from frcnn_cli.engine.datasets.find import find_dataset
from frcnn_cli.engine.drawing.detections import draw_detections
from frcnn_cli.engine.evaluation.detections_file import read_detections
from frcnn_cli.engine.records import GroundTruth
from frcnn_proposals.images import read_image

ROWS, COLUMNS, CELL, GAP = 3, 4, 290, 8
PAPER, OBJECT, DIFFICULT, INK = "white", (205, 205, 205), (235, 235, 235), (110, 110, 110)


def main(detections: str, dataset: str, split: str, out: str) -> None:
    data = find_dataset(dataset, split)
    found = read_detections(Path(detections), data)
    size = (COLUMNS * (CELL + GAP) + GAP, ROWS * (CELL + GAP) + GAP)
    sheet = Image.new("RGB", size, INK)
    for place, record in enumerate(data.images[: ROWS * COLUMNS]):
        height, width = read_image(record.path).shape[:2]
        scale = CELL / max(height, width)
        paper = Image.new("RGB", (round(width * scale), round(height * scale)), PAPER)
        draw_objects(paper, record.truth or GroundTruth(), scale, data.classes)
        shown = found[record.image_id].above(0.5)
        shown = replace(shown, boxes=shown.boxes * np.float32(scale))
        drawn = Image.fromarray(draw_detections(np.asarray(paper), shown, data.classes))
        row, column = divmod(place, COLUMNS)
        sheet.paste(drawn, (GAP + column * (CELL + GAP), GAP + row * (CELL + GAP)))
    sheet.quantize(64).save(out, optimize=True)


def draw_objects(
    paper: Image.Image, truth: GroundTruth, scale: float, classes: tuple[str, ...]
) -> None:
    """Draw the ground truth in grey, smaller objects on top, with labels at the lower edge."""
    draw = ImageDraw.Draw(paper)
    areas = np.prod(truth.boxes[:, 2:] - truth.boxes[:, :2], axis=1)
    for index in np.argsort(-areas):
        x1, y1, x2, y2 = (float(value) * scale for value in truth.boxes[index])
        fill = DIFFICULT if truth.difficult[index] else OBJECT
        draw.rectangle((x1, y1, x2, y2), fill=fill, outline=INK)
        draw.text((x1 + 3, y2 - 13), classes[truth.labels[index] - 1], fill=INK)


main(*sys.argv[1:])
