"""Choice of the gallery's detections and objects: some of each class and kind of error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from frcnn_cli.engine.evaluation.errors import RIGHT
from frcnn_cli.engine.evaluation.tables import DetectionTable, TruthTable, rows_by_group
from frcnn_cli.engine.pages.report.records import Report, Subject

BEST, MISTAKE, MISSED = "best", "mistake", "missed"
GROUPS = (BEST, MISTAKE, MISSED)
MISTAKES = ("localisation", "confusion", "both", "duplicate", "background")
# Maximum number of cards per group, over all subjects.
LIMITS = {BEST: 80, MISTAKE: 160, MISSED: 80}
_DEPTH = 40  # number of candidates per class and kind


@dataclass(frozen=True)
class Finding:
    """One detection, or one missed object.

    subject, image, label: indices of the subject, the image and the class (1..K). row: row in
    the table of detections, or in the table of objects for a missed object. score: None for a
    missed object.
    """

    group: str
    kind: str
    subject: int
    image: int
    label: int
    row: int
    box: NDArray[np.float64]
    score: float | None


@dataclass(frozen=True)
class Findings:
    """The chosen findings, best first within each group, and the total number per group."""

    shown: tuple[Finding, ...]
    totals: dict[str, int]


def choose_findings(report: Report) -> Findings:
    """The best detections, the most confident mistakes and the largest missed objects.

    Classes (and kinds of mistakes) take turns: each contributes one finding before any
    contributes its second. Within a group of a subject, an image occurs only once.
    """
    shown: list[Finding] = []
    totals = dict.fromkeys(GROUPS, 0)
    for group in GROUPS:
        limit = LIMITS[group] // len(report.subjects)
        for index, subject in enumerate(report.subjects):
            table = report.truth if group == MISSED else subject.found
            layers = []
            for label, kind, rows in _rows_by_kind(group, report, subject):
                totals[group] += len(rows)
                some = rows[:_DEPTH].tolist()
                layers.append([_finding(group, kind, index, label, table, row) for row in some])
            shown += _interleave(layers, limit)
    return Findings(tuple(shown), totals)


def _finding(
    group: str, kind: str, subject: int, label: int, table: TruthTable | DetectionTable, row: int
) -> Finding:
    score = float(table.score[row]) if isinstance(table, DetectionTable) else None
    return Finding(group, kind, subject, int(table.image[row]), label, row, table.boxes[row], score)


def _rows_by_kind(
    group: str, report: Report, subject: Subject
) -> list[tuple[int, str, NDArray[np.int64]]]:
    """(label, kind, rows) of each class and kind, best first; largest first for missed objects."""
    if group == MISSED:
        truth = report.truth
        areas = (truth.boxes[:, 2:] - truth.boxes[:, :2] + 1).prod(axis=1)
        largest = np.argsort(-areas, kind="stable")
        missed = largest[subject.diagnosis.missed[largest]]
        table, of_kind = truth.label, {MISSED: missed}
    else:
        kinds = (RIGHT,) if group == BEST else MISTAKES
        table = subject.found.label
        of_kind = {kind: np.flatnonzero(subject.diagnosis.of(kind)) for kind in kinds}
    classes = len(report.dataset.classes)
    by_class = {kind: rows_by_group(table - 1, rows, classes) for kind, rows in of_kind.items()}
    return [
        (label, kind, rows[label - 1])
        for label in range(1, classes + 1)
        for kind, rows in by_class.items()
    ]


def _interleave(layers: Sequence[Sequence[Finding]], limit: int) -> list[Finding]:
    """One finding of each layer, then a second of each, up to `limit`; no image twice."""
    taken: list[Finding] = []
    seen: set[int] = set()
    remaining = [iter(layer) for layer in layers]
    while remaining and len(taken) < limit:
        not_empty = []
        for layer in remaining:
            finding = next((found for found in layer if found.image not in seen), None)
            if finding is not None:
                seen.add(finding.image)
                taken.append(finding)
                not_empty.append(layer)
        remaining = not_empty
    return sorted(taken[:limit], key=_rank)


def _rank(finding: Finding) -> float:
    """Sort key: descending score, or descending area for missed objects, which have no score."""
    if finding.score is not None:
        return -finding.score
    return -float((finding.box[2:] - finding.box[:2] + 1).prod())
