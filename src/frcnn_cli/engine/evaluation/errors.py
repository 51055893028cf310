"""Error analysis: the kind of each wrong detection, and the missed objects, after TIDE
(Bolya et al., ECCV 2020, sections 2.2 and 2.3).

The kind of a wrong detection is the first of these that applies:
  localisation  0.1 <= IoU < 0.5 with an object of its class
  confusion     IoU >= 0.5 with an object of another class
  duplicate     IoU >= 0.5 with an object of its class that an earlier detection matched
  both          0.1 <= IoU < 0.5 with an object of another class
  background    IoU < 0.1 with every object
An object is missed if no detection matches it, and none would after correcting its localisation
or class. Detections of difficult objects are ignored, as in the average precision.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frcnn_cli.engine.evaluation.average_precision import ap_area, precision_recall
from frcnn_cli.engine.evaluation.matching import NO_OBJECT, first_claims, most_overlapped
from frcnn_cli.engine.evaluation.tables import (
    DetectionTable,
    TruthTable,
    by_class,
    by_name,
)
from frcnn_cli.engine.evaluation.voc import match_detections, mean_where_defined

FOREGROUND = 0.5
BACKGROUND = 0.1
KINDS = ("localisation", "confusion", "both", "duplicate", "background", "missed")
RIGHT, IGNORED = "right", "ignored"
OUTCOMES = (RIGHT, IGNORED, *KINDS)


@dataclass(frozen=True)
class ClassErrors:
    """One class: its right and wrong detections, and its missed objects."""

    name: str
    right: int
    localisation: int
    confusion: int
    both: int
    duplicate: int
    background: int
    missed: int


@dataclass(frozen=True)
class ErrorAnalysis:
    """The effect of each kind of error on the mAP.

    map_area: the mAP (VOC, area). corrected: by kind, the mAP after correcting only this kind of
    error. None if no class has an object.
    """

    map_area: float | None
    corrected: dict[str, float | None]
    per_class: tuple[ClassErrors, ...]

    def gain(self, kind: str) -> float | None:
        """The increase of the mAP after correcting this kind of error."""
        corrected = self.corrected[kind]
        if corrected is None or self.map_area is None:
            return None
        return corrected - self.map_area

    def to_json(self) -> dict[str, Any]:
        """JSON values, with per_class by name."""
        return {
            "map_area": self.map_area,
            "map_corrected": self.corrected,
            "gain": {kind: self.gain(kind) for kind in KINDS},
            "per_class": by_name(self.per_class),
        }


@dataclass(frozen=True)
class Diagnosis:
    """The kind of each detection, and the missed objects.

    outcome (D,): index into OUTCOMES: 'right', 'ignored', or the kind of error. target (D,): index
    of the object of a localisation error or confusion; NO_OBJECT if another detection matched it,
    and for the other kinds. missed (G,): bool.
    """

    outcome: NDArray[np.int8]
    target: NDArray[np.int64]
    missed: NDArray[np.bool_]

    def of(self, kind: str) -> NDArray[np.bool_]:
        """(D,): whether each detection is of this kind, 'right' or 'ignored'."""
        is_of: NDArray[np.bool_] = self.outcome == OUTCOMES.index(kind)
        return is_of


def analyse_errors(
    classes: tuple[str, ...], truth: TruthTable, detections: DetectionTable
) -> ErrorAnalysis:
    """Count the errors by kind, and compute the mAP after correcting each kind separately."""
    diagnosis = diagnose(truth, detections)
    counts = np.zeros((len(classes) + 1, len(OUTCOMES)), np.int64)
    np.add.at(counts, (detections.label, diagnosis.outcome), 1)
    missed = np.bincount(truth.label[diagnosis.missed], minlength=len(counts))
    counts[:, OUTCOMES.index("missed")] = missed
    per_class = [
        ClassErrors(name, **{kind: int(row[OUTCOMES.index(kind)]) for kind in (RIGHT, *KINDS)})
        for name, row in zip(classes, counts[1:], strict=True)
    ]
    uncorrected, *corrected = (
        _corrected_map(len(classes), truth, detections, diagnosis, kind) for kind in (None, *KINDS)
    )
    corrections = dict(zip(KINDS, corrected, strict=True))
    return ErrorAnalysis(uncorrected, corrections, tuple(per_class))


def diagnose(truth: TruthTable, detections: DetectionTable) -> Diagnosis:
    """The kind of each detection, and which objects are missed."""
    matches = match_detections(truth, detections, FOREGROUND)
    counted = np.flatnonzero(~truth.ignored)
    objects = truth.take(counted)
    own = most_overlapped(detections, objects, "same class")
    other = most_overlapped(detections, objects, "other classes")
    conditions = {
        IGNORED: matches.ignored,
        RIGHT: matches.right,
        "localisation": (own.iou >= BACKGROUND) & (own.iou < FOREGROUND),
        "confusion": other.iou >= FOREGROUND,
        "duplicate": own.iou >= FOREGROUND,
        "both": other.iou >= BACKGROUND,
    }
    outcome = np.select(
        list(conditions.values()),
        [np.int8(OUTCOMES.index(name)) for name in conditions],
        default=np.int8(OUTCOMES.index("background")),
    )
    matched = np.zeros(len(truth), bool)
    matched[matches.object[matches.right]] = True
    target = np.full(len(detections), NO_OBJECT)
    for name, overlaps in (("localisation", own), ("confusion", other)):
        of_kind = outcome == OUTCOMES.index(name)
        target[of_kind] = counted[overlaps.object[of_kind]]
    with_target = np.flatnonzero(target != NO_OBJECT)
    target[with_target[matched[target[with_target]]]] = NO_OBJECT
    correctable = matched.copy()
    correctable[target[target != NO_OBJECT]] = True
    return Diagnosis(outcome, target, ~correctable & ~truth.ignored)


def _corrected_map(
    classes: int,
    truth: TruthTable,
    detections: DetectionTable,
    diagnosis: Diagnosis,
    kind: str | None,
) -> float | None:
    """mAP after correcting one kind of error (None: no correction).

    localisation and confusion: of the detections with the same target, the one with the highest
    score becomes its match, and the others are removed. Other kinds of detections are removed.
    missed: the missed objects no longer count.
    """
    of_kind = np.zeros(len(detections), bool) if kind is None else diagnosis.of(kind)
    matched = of_kind & first_claims(np.where(of_kind, diagnosis.target, NO_OBJECT))
    right = diagnosis.of(RIGHT) | matched
    counted = ~diagnosis.of(IGNORED) & (~of_kind | matched)
    label = detections.label.copy()
    label[matched] = truth.label[diagnosis.target[matched]]
    to_find = ~truth.ignored & ~(diagnosis.missed & (kind == "missed"))
    averages: list[float | None] = []
    for rows, objects_of in zip(
        by_class(label, classes), by_class(truth.label, classes), strict=True
    ):
        found = rows[counted[rows]]
        objects = int(to_find[objects_of].sum())
        if objects:
            averages.append(ap_area(*precision_recall(right[found], objects)))
        elif (~truth.ignored[objects_of]).any() and len(found):
            # All its objects were missed, so all of its detections are wrong.
            averages.append(0.0)
    return mean_where_defined(averages)
