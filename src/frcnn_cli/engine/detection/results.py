"""COCO results JSON: a list of {image_id, category_id, bbox: [x, y, width, height], score}."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from frcnn_cli.engine.records import Detections
from frcnn_proposals.files import write_json_list


def coco_entries(
    image_id: str | int, detections: Detections, classes: Sequence[str]
) -> list[dict[str, Any]]:
    """One entry per detection: image_id, category_id (1..K), category, bbox, score.

    bbox is x, y, width and height as in COCO: an inclusive box is x2 - x1 + 1 wide.
    """
    columns = (detections.boxes, detections.scores, detections.labels)
    rows = zip(*(column.tolist() for column in columns), strict=True)
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
    """Write the detections of all images, by image id, as a complete file or not at all.

    Only the entries of one image are in memory.
    """
    groups = (coco_entries(name, found, classes) for name, found in detections.items())
    write_json_list(path, groups, indent=2)
