"""Which detections and objects the gallery shows: some of each class and kind of error."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from frcnn_cli.engine.evaluation.errors import RIGHT
from frcnn_cli.engine.evaluation.tables import DetectionTable, TruthTable
from frcnn_cli.engine.report.records import Report, Subject

BEST, MISTAKE, MISSED = "best", "mistake", "missed"
GROUPS = (BEST, MISTAKE, MISSED)
MISTAKES = ("localisation", "confusion", "both", "duplicate", "background")
# Cards of each group, over all subjects.
LIMITS = {BEST: 80, MISTAKE: 160, MISSED: 80}
_DEPTH = 40  # how far down each class and kind is looked


@dataclass(frozen=True)
class Finding:
    """One detection, or one missed object.

    subject, image, label, row: indices of the subject, the dataset's image, the class (1..K),
    and the row of the detections' table (of the objects' for a missed one).
    score: None for a missed object.
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
    """shown: the chosen ones, best first within each group; totals: of how many, by group."""

    shown: tuple[Finding, ...]
    totals: dict[str, int]


def choose_findings(report: Report) -> Findings:
    """The best detections, the most confident mistakes and the largest missed objects.

    Every class (and kind of mistake) has its first one before any has its second, and within
    a group of a subject an image comes once.
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
            shown += _take_in_turn(layers, limit)
    return Findings(tuple(shown), totals)


def _finding(
    group: str, kind: str, subject: int, label: int, table: TruthTable | DetectionTable, row: int
) -> Finding:
    score = float(table.score[row]) if isinstance(table, DetectionTable) else None
    return Finding(group, kind, subject, int(table.image[row]), label, row, table.boxes[row], score)


def _rows_by_kind(
    group: str, report: Report, subject: Subject
) -> list[tuple[int, str, NDArray[np.int64]]]:
    """Label, kind, and the rows of both, best first; of missed objects, the largest first."""
    labels = range(1, len(report.dataset.classes) + 1)
    if group == MISSED:
        truth = report.truth
        areas = (truth.boxes[:, 2:] - truth.boxes[:, :2] + 1).prod(axis=1)
        largest = np.argsort(-areas, kind="stable")
        missed = largest[subject.diagnosis.missed[largest]]
        return [(label, MISSED, missed[truth.label[missed] == label]) for label in labels]
    kinds = (RIGHT,) if group == BEST else MISTAKES
    found, kind_of = subject.found.label, subject.diagnosis.kind
    return [
        (label, kind, np.flatnonzero((found == label) & (kind_of == kind)))
        for label in labels
        for kind in kinds
    ]


def _take_in_turn(layers: Sequence[Sequence[Finding]], limit: int) -> list[Finding]:
    """One of each layer, then a second of each, until `limit`; no image twice."""
    taken: list[Finding] = []
    seen: set[int] = set()
    waiting = [iter(layer) for layer in layers]
    while waiting and len(taken) < limit:
        still = []
        for layer in waiting:
            finding = next((found for found in layer if found.image not in seen), None)
            if finding is not None:
                seen.add(finding.image)
                taken.append(finding)
                still.append(layer)
        waiting = still
    return sorted(taken[:limit], key=_rank)


def _rank(finding: Finding) -> float:
    """Less for a higher score; of missed objects, which have none, for a larger area."""
    if finding.score is not None:
        return -finding.score
    return -float((finding.box[2:] - finding.box[:2] + 1).prod())
