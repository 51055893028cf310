"""Which detections and objects the gallery shows: some of each class and kind of error."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from frcnn_cli.engine.evaluation.errors import RIGHT
from frcnn_cli.engine.evaluation.tables import TruthTable
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
            layers = _layers(group, index, report.truth, subject, len(report.dataset.classes))
            shown += _take_in_turn(layers, limit)
            totals[group] += _total(group, subject)
    return Findings(tuple(shown), totals)


def _total(group: str, subject: Subject) -> int:
    diagnosis = subject.diagnosis
    if group == MISSED:
        return int(diagnosis.missed.sum())
    kinds = (RIGHT,) if group == BEST else MISTAKES
    return int(np.isin(diagnosis.kind, kinds).sum())


def _layers(
    group: str, index: int, truth: TruthTable, subject: Subject, classes: int
) -> list[list[Finding]]:
    """The first findings of each class and kind, best first."""
    labels = range(1, classes + 1)
    if group == MISSED:
        return [_missed(index, truth, subject, label) for label in labels]
    kinds = (RIGHT,) if group == BEST else MISTAKES
    return [_detected(group, index, subject, label, kind) for label in labels for kind in kinds]


def _detected(group: str, index: int, subject: Subject, label: int, kind: str) -> list[Finding]:
    found = subject.found
    rows = np.flatnonzero((found.label == label) & (subject.diagnosis.kind == kind))[:_DEPTH]
    return [
        Finding(
            group,
            kind,
            index,
            int(found.image[row]),
            label,
            int(row),
            found.boxes[row],
            float(found.score[row]),
        )
        for row in rows
    ]


def _missed(index: int, truth: TruthTable, subject: Subject, label: int) -> list[Finding]:
    rows = np.flatnonzero((truth.label == label) & subject.diagnosis.missed)
    extent = truth.boxes[rows, 2:] - truth.boxes[rows, :2] + 1
    largest = rows[np.argsort(-extent.prod(axis=1), kind="stable")][:_DEPTH]
    return [
        Finding(
            MISSED, MISSED, index, int(truth.image[row]), label, int(row), truth.boxes[row], None
        )
        for row in largest
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
    return _best_first(taken[:limit])


def _best_first(findings: Iterable[Finding]) -> list[Finding]:
    """By score; missed objects, which have none, by area."""

    def rank(finding: Finding) -> float:
        if finding.score is not None:
            return -finding.score
        return -float((finding.box[2:] - finding.box[:2] + 1).prod())

    return sorted(findings, key=rank)
