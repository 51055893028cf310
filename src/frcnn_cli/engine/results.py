"""Detections as other programs read them: COCO results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from frcnn_cli.engine.records import Detections


def coco_results(
    detections: Mapping[str, Detections], classes: Sequence[str]
) -> list[dict[str, Any]]:
    """One entry a detection: image_id, category_id (1..K), category, bbox, score.

    bbox is x, y, width and height, as COCO has it: an inclusive box is x2 - x1 + 1 wide.
    """
    entries = []
    for image_id, found in detections.items():
        for (x1, y1, x2, y2), score, label in zip(
            found.boxes.tolist(), found.scores.tolist(), found.labels.tolist(), strict=True
        ):
            entries.append(
                {
                    "image_id": image_id,
                    "category_id": label,
                    "category": classes[label - 1],
                    "bbox": [x1, y1, x2 - x1 + 1, y2 - y1 + 1],
                    "score": score,
                }
            )
    return entries
