"""Differences between two detectors: image by image, and the margins of their averages."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from frcnn_cli.engine.boxes import iou
from frcnn_cli.engine.evaluation.bootstrap import DifferenceMargins, difference_margins
from frcnn_cli.engine.evaluation.errors import FOREGROUND
from frcnn_cli.engine.evaluation.tables import DetectionTable, TruthTable, rows_by_group
from frcnn_cli.engine.evaluation.voc import match_detections
from frcnn_cli.engine.pages.report.records import Report, Subject


@dataclass(frozen=True)
class ImageChange:
    """The differences in one image.

    found: number of objects that each detector finds. gained, lost: rows of the objects that only
    the second, or only the first, finds. wrong: number of mistakes of each. appeared: mistakes
    that only the second makes (rows of its detections). gone: mistakes that only the first makes.
    """

    image: int
    found: tuple[int, int]
    gained: tuple[int, ...]
    lost: tuple[int, ...]
    wrong: tuple[int, int]
    appeared: tuple[int, ...]
    gone: tuple[int, ...]

    @property
    def size(self) -> int:
        """The amount of change; an object weighs more than a mistake."""
        return 3 * (len(self.gained) + len(self.lost)) + len(self.appeared) + len(self.gone)


def compare_images(report: Report) -> tuple[ImageChange, ...]:
    """The images in which two subjects differ, the most changed first.

    Only detections that score at least their subject's threshold count. Two mistakes are the same
    if they have the same class and an IoU of at least 0.5.
    """
    first, second = (subject.found for subject in report.subjects)
    images = len(report.dataset)
    (found_first, wrong_first), (found_second, wrong_second) = (
        _outcomes(report.truth, subject) for subject in report.subjects
    )
    objects = rows_by_group(report.truth.image, np.arange(len(report.truth)), images)
    wrong_of_first = rows_by_group(first.image, wrong_first, images)
    wrong_of_second = rows_by_group(second.image, wrong_second, images)
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


def compare_averages(report: Report) -> DifferenceMargins | None:
    """The margins of the differences between two subjects' averages; None for one subject."""
    if not report.compares:
        return None
    first, second = (subject.found for subject in report.subjects)
    classes, images = len(report.dataset.classes), len(report.dataset)
    return difference_margins(classes, images, report.truth, first, second)


def _outcomes(truth: TruthTable, subject: Subject) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
    """Whether each object is found, (G,), and the rows of the mistaken detections."""
    matches = match_detections(truth, subject.found, FOREGROUND)
    counts = subject.found.score >= subject.threshold
    is_found = np.zeros(len(truth), bool)
    is_found[matches.object[matches.right & counts]] = True
    return is_found, np.flatnonzero(~matches.right & ~matches.ignored & counts)


def _unmatched(
    table: DetectionTable,
    rows: NDArray[np.int64],
    other_table: DetectionTable,
    other_rows: NDArray[np.int64],
) -> tuple[int, ...]:
    """The rows of `table` that have no counterpart among the rows of `other_table`."""
    if len(rows) == 0 or len(other_rows) == 0:
        return tuple(rows.tolist())
    a, b = np.repeat(rows, len(other_rows)), np.tile(other_rows, len(rows))
    overlaps = iou(table.boxes[a], other_table.boxes[b]).reshape(len(rows), len(other_rows))
    same = overlaps >= FOREGROUND
    same &= table.label[rows][:, None] == other_table.label[other_rows][None, :]
    return tuple(rows[~same.any(axis=1)].tolist())
