"""Detections as COCO results: a JSON list with one entry per detection."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from frcnn_cli.engine.records import Detections
from frcnn_proposals.files import write_whole


def coco_entries(
    image_id: str | int, detections: Detections, classes: Sequence[str]
) -> list[dict[str, Any]]:
    """One entry per detection: image_id, category_id (1..K), category, bbox, score.

    bbox is x, y, width and height, as COCO has it: an inclusive box is x2 - x1 + 1 wide.
    """
    rows = zip(
        detections.boxes.tolist(),
        detections.scores.tolist(),
        detections.labels.tolist(),
        strict=True,
    )
    return [
        {
            "image_id": image_id,
            "category_id": label,
            "category": classes[label - 1],
            "bbox": [x1, y1, x2 - x1 + 1, y2 - y1 + 1],
            "score": score,
        }
        for (x1, y1, x2, y2), score, label in rows
    ]


def write_coco_results(
    path: Path, detections: Mapping[str, Detections], classes: Sequence[str]
) -> None:
    """Write the detections of all images, by image id; the file appears when it is whole."""
    entries = [
        entry for name, found in detections.items() for entry in coco_entries(name, found, classes)
    ]
    write_whole(path, (json.dumps(entries, indent=2) + "\n").encode())
