"""The detections of the shipped model, recorded in tests/engine/models/shipped_voc.json.

After a change of the model's file, record them again, and look at the differences:

    PYTHONPATH=kernels:proposals:src python tests/helpers/shipped_voc.py
"""

from __future__ import annotations

import hashlib
import json
import tempfile
from pathlib import Path
from typing import Any

import frcnn
from frcnn_cli.engine.models.shipped.table import DEFAULT, FOLDER

TESTS = Path(__file__).resolve().parents[1]
RECORD = TESTS / "engine" / "models" / "shipped_voc.json"
PHOTOS = TESTS.parent / "docs" / "images" / "photos"
MODEL = FOLDER / f"{DEFAULT}.safetensors"
# Lower than the scores that are compared, so that those next to the bound have a counterpart.
LOWEST_SCORE = 0.05


def images(folder: Path) -> list[Path]:
    """Two photos in the public domain, and two generated images, which are written to `folder`."""
    frcnn.generate_dataset(folder / "shapes", images=8, size=(256, 192), seed=3)
    generated = sorted((folder / "shapes" / "JPEGImages").iterdir())[:2]
    return [PHOTOS / "hopper.jpg", PHOTOS / "chelsea.jpg", *generated]


def detections(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """Name of the image -> its detections in float32, with the model's own proposals."""
    detector = frcnn.Detector.load(
        MODEL, precision="float32", score_threshold=LOWEST_SCORE, device="cpu"
    )
    return {
        path.stem: [
            {"class": each.name, "score": float(each.score), "box": [*map(float, each.box)]}
            for each in detector.detect(path)
        ]
        for path in images(folder)
    }


def digest() -> str:
    """SHA-256 of the model's file."""
    return hashlib.sha256(MODEL.read_bytes()).hexdigest()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        record = {"sha256": digest(), "detections": detections(Path(folder))}
    RECORD.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    print(f"{RECORD}: {sum(map(len, record['detections'].values()))} detections")
