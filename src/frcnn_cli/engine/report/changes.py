"""What differs between two detectors, image by image."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from frcnn_cli.engine.boxes import iou
from frcnn_cli.engine.evaluation.errors import FOREGROUND
from frcnn_cli.engine.evaluation.tables import DetectionTable, TruthTable
from frcnn_cli.engine.evaluation.voc import match_detections
from frcnn_cli.engine.report.records import Report, Subject


@dataclass(frozen=True)
class ImageChange:
    """One image. found: objects that each detector finds; gained, lost: rows of the objects
    that only the second finds, and only the first. wrong: mistakes of each; appeared, gone:
    mistakes (rows of the second's and of the first's detections) that the other has not."""

    image: int
    found: tuple[int, int]
    gained: tuple[int, ...]
    lost: tuple[int, ...]
    wrong: tuple[int, int]
    appeared: tuple[int, ...]
    gone: tuple[int, ...]

    @property
    def size(self) -> int:
        """How much has changed; an object weighs more than a mistake."""
        return 3 * (len(self.gained) + len(self.lost)) + len(self.appeared) + len(self.gone)


def compare_images(report: Report) -> tuple[ImageChange, ...]:
    """The images that two subjects see differently, the most changed first.

    Only detections of their subject's threshold and over count. A mistake is the same in both where
    class is the same and IoU at least 0.5.
    """
    first, second = (subject.found for subject in report.subjects)
    images = len(report.dataset)
    (found_first, wrong_first), (found_second, wrong_second) = (
        _outcomes(report.truth, subject) for subject in report.subjects
    )
    objects = _grouped(report.truth.image, np.arange(len(report.truth)), images)
    wrong_of_first = _grouped(first.image, wrong_first, images)
    wrong_of_second = _grouped(second.image, wrong_second, images)
    changes = []
    for image, rows in enumerate(objects):
        by_first, by_second = found_first[rows], found_second[rows]
        old, new = wrong_of_first[image], wrong_of_second[image]
        change = ImageChange(
            image,
            (int(by_first.sum()), int(by_second.sum())),
            tuple(rows[by_second & ~by_first].tolist()),
            tuple(rows[by_first & ~by_second].tolist()),
            (len(old), len(new)),
            _unmatched(second, new, first, old),
            _unmatched(first, old, second, new),
        )
        if change.size:
            changes.append(change)
    return tuple(sorted(changes, key=lambda change: -change.size))


def _outcomes(truth: TruthTable, subject: Subject) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Whether each object is found, (G,), and the rows of the mistakes."""
    matches = match_detections(truth, subject.found, FOREGROUND)
    counts = subject.found.score >= subject.threshold
    is_found = np.zeros(len(truth), bool)
    is_found[matches.object[matches.right & counts]] = True
    return is_found, np.flatnonzero(~matches.right & ~matches.ignored & counts)


def _grouped(
    image: NDArray[np.int64], rows: NDArray[np.int64], images: int
) -> list[NDArray[np.int64]]:
    """`rows` of a table, parted by their image."""
    order = rows[np.argsort(image[rows], kind="stable")]
    return np.split(order, np.searchsorted(image[order], np.arange(1, images)))


def _unmatched(
    ours: DetectionTable,
    rows: NDArray[np.int64],
    theirs: DetectionTable,
    others: NDArray[np.int64],
) -> tuple[int, ...]:
    """Those of our rows that have no counterpart among the others' rows."""
    if len(rows) == 0 or len(others) == 0:
        return tuple(rows.tolist())
    a, b = np.repeat(rows, len(others)), np.tile(others, len(rows))
    overlaps = iou(ours.boxes[a], theirs.boxes[b]).reshape(len(rows), len(others))
    same = overlaps >= FOREGROUND
    same &= ours.label[rows][:, None] == theirs.label[others][None, :]
    return tuple(rows[~same.any(axis=1)].tolist())
