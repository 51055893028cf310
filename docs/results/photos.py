"""photos.py MODEL OUT: the photographs in docs/images/photos with the detections of MODEL.

All have one height, and are drawn as by `frcnn detect --viz`. MODEL is a file, or a run by its
folder or name. OUT is a JPEG file.
"""

import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

import frcnn
from frcnn_cli.engine.drawing.detections import draw_detections

PHOTOS = Path(__file__).parents[1] / "images" / "photos"
HEIGHT, GAP = 280, 6  # as wide in all as a README is shown, so that the captions are readable


def main(model: str, out: str) -> None:
    detector = frcnn.Detector.load(model)
    drawn = [draw_photo(detector, path) for path in sorted(PHOTOS.glob("*.jpg"))]
    width = sum(photo.width + GAP for photo in drawn) - GAP
    row, x = Image.new("RGB", (width, HEIGHT), "white"), 0
    for photo in drawn:
        row.paste(photo, (x, 0))
        x += photo.width + GAP
    row.save(out, quality=88, subsampling=0, optimize=True)


def draw_photo(detector: frcnn.Detector, path: Path) -> Image.Image:
    found = detector.detect(path)
    print(found)
    with Image.open(path) as photo:
        scale = HEIGHT / photo.height
        resized = photo.resize((round(scale * photo.width), HEIGHT), Image.Resampling.LANCZOS)
    shown = replace(found, boxes=found.boxes * np.float32(scale))
    return Image.fromarray(draw_detections(np.asarray(resized), shown, detector.class_names))


main(*sys.argv[1:])
