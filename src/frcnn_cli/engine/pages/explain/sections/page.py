"""The frame of the page: the image, its detections, and the proposals to choose from."""

from __future__ import annotations

from typing import Any

from frcnn_cli.engine.pages.explain.chosen import Reason
from frcnn_cli.engine.pages.explain.sections.rounding import rounded
from frcnn_cli.engine.pages.explain.subject import Subject
from frcnn_cli.engine.records import BACKGROUND


def page_numbers(subject: Subject) -> dict[str, Any]:
    """Sizes, classes and detections, and one record per chosen proposal.

    label, score: of the first head's best class for it. object, iou: the nearest object, or None.
    """
    height, width = subject.image.shape[:2]
    found = subject.detections
    return {
        "image": {"id": subject.image_id, "width": width, "height": height},
        "classes": list(subject.classes),
        "classifier": subject.model.architecture.classifier,
        "proposals": len(subject.proposals),
        "detections": [
            {"box": rounded(box, 5), "label": subject.classes[label - 1], "score": rounded(score)}
            for box, score, label in zip(found.boxes, found.scores, found.labels, strict=True)
        ],
        "chosen": [
            _chosen(subject, row, reason)
            for row, reason in zip(subject.chosen, subject.reasons, strict=True)
        ],
    }


def _chosen(subject: Subject, row: int, reason: Reason) -> dict[str, Any]:
    label = int(subject.scores[row, 1:].argmax()) + 1
    name = None if reason.label == BACKGROUND else subject.classes[reason.label - 1]
    return {
        "index": row,
        "box": rounded(subject.proposals.boxes[row], 5),
        "kind": reason.kind,
        "label": subject.classes[label - 1],
        "score": rounded(subject.scores[row, label]),
        "object": name,
        "iou": rounded(reason.iou, 3),
        "why": _why(reason, name),
    }


def _why(reason: Reason, name: str | None) -> str:
    """The reason in words."""
    words = {
        "best": f"the proposal with the highest IoU with this {name}",
        "near miss": "a near miss: the best IoU with an object is below 0.5",
        "background": "no object here",
        "highest score": "one of the highest scores",
        "random": "selected at random",
    }[reason.kind]
    return words if name is None else f"{words}; IoU {reason.iou:.2f} with {name}"
