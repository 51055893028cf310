"""Annotated images: the boxes drawn as SVG, and a description for screen readers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from frcnn_cli.engine.evaluation.errors import IGNORED, OUTCOMES, RIGHT
from frcnn_cli.engine.pages.report.records import Report, Subject
from frcnn_cli.engine.pages.self_contained import Thumbnail
from frcnn_proposals.wording import first_of

DRAWN_BELOW = 0.2  # other detections are drawn down to this much below the threshold
MOST_DRAWN = 15  # maximum number of other detections

KIND_NAMES = {
    RIGHT: "right",
    "localisation": "bad box",
    "confusion": "wrong class",
    "both": "bad box and wrong class",
    "duplicate": "duplicate",
    "background": "background",
    "missed": "missed object",
    IGNORED: "on a difficult object",
}


@dataclass(frozen=True)
class DrawnBox:
    """One drawn box: x, y, width, height in the image's pixels.

    x and y are the outer edge of the first pixel. role: `truth`, `right`, `wrong`, `missed` or
    `ignored`. text: class, and score of a detection. chosen: whether the image is shown because
    of this box.
    """

    x: float
    y: float
    width: float
    height: float
    role: str
    text: str
    chosen: bool = False

    @property
    def is_truth(self) -> bool:
        """Whether it is an object rather than a detection."""
        return self.role in ("truth", "missed")


@dataclass(frozen=True)
class AnnotatedImage:
    """One image with its boxes. alt: its description in words."""

    thumbnail: Thumbnail
    boxes: tuple[DrawnBox, ...]
    alt: str


def truth_boxes(
    report: Report, image: int, missed: Sequence[int] = (), chosen: int = -1
) -> list[DrawnBox]:
    """The objects of an image. missed: rows drawn as missed. chosen: the row to emphasise."""
    truth = report.truth
    return [
        _box(
            truth.boxes[row],
            "missed" if row in missed else "truth",
            report.dataset.classes[truth.label[row] - 1]
            + (" (difficult)" if truth.ignored[row] else ""),
            row == chosen,
        )
        for row in np.flatnonzero(truth.image == image).tolist()
    ]


def detection_boxes(
    report: Report,
    subject: Subject,
    image: int,
    chosen: Sequence[int],
    least: float,
) -> list[DrawnBox]:
    """The detections of an image that score at least `least`, and the chosen rows."""
    found = subject.found
    of_image = found.image == image
    rows = np.flatnonzero(of_image & (found.score >= least))[:MOST_DRAWN].tolist()
    rows += [row for row in chosen if row not in rows]
    return [
        _box(
            found.boxes[row],
            _role(OUTCOMES[subject.diagnosis.outcome[row]]),
            f"{report.dataset.classes[found.label[row] - 1]} {found.score[row]:.2f}",
            row in chosen,
        )
        for row in rows
    ]


def described(boxes: Sequence[DrawnBox]) -> str:
    """A description of the drawn boxes, for screen readers."""
    objects = _listed([box.text for box in boxes if box.is_truth])
    right, wrong = (_listed([b.text for b in boxes if b.role == r]) for r in ("right", "wrong"))
    return f"Objects: {objects}. Right detections: {right}. Wrong detections: {wrong}."


def _listed(words: list[str], most: int = 8) -> str:
    return first_of(words, most) or "none"


def _role(kind: str) -> str:
    return kind if kind in (RIGHT, IGNORED) else "wrong"


def _box(box: NDArray[np.float64], role: str, text: str, chosen: bool) -> DrawnBox:
    x1, y1, x2, y2 = (round(float(value), 1) for value in box)
    return DrawnBox(
        x1, y1, round(max(0.0, x2 - x1 + 1), 1), round(max(0.0, y2 - y1 + 1), 1), role, text, chosen
    )
