"""Where the errors are: each wrong detection and missed object by its kind, after TIDE
(Bolya et al., ECCV 2020, sections 2.2 and 2.3).

A wrong detection is, by the first of these that holds,
  localisation  IoU 0.1 to 0.5 with an object of its class
  confusion     IoU >= 0.5 with an object of another class
  duplicate     IoU >= 0.5 with an object of its class, which a better detection has taken
  both          IoU 0.1 to 0.5 with an object of another class
  background    IoU < 0.1 with every object
and an object is missed that no detection took, nor would take if its localisation or class
were corrected. What matches difficult objects is left out, as in the average precision.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from frcnn_cli.engine.evaluation.average_precision import ap_area, precision_recall
from frcnn_cli.engine.evaluation.matching import NO_OBJECT, first_claims, most_overlapped
from frcnn_cli.engine.evaluation.tables import DetectionTable, TruthTable, by_name
from frcnn_cli.engine.evaluation.voc import match_detections, mean_where_defined

FOREGROUND = 0.5
BACKGROUND = 0.1
KINDS = ("localisation", "confusion", "both", "duplicate", "background", "missed")
RIGHT, IGNORED = "right", "ignored"


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
    """map_area: as it is (VOC, area); corrected: what it would be with one kind of error put
    right and all else as it is, by kind. None where no class has an object."""

    map_area: float | None
    corrected: dict[str, float | None]
    per_class: tuple[ClassErrors, ...]

    def gain(self, kind: str) -> float | None:
        """What correcting one kind would add to the mAP."""
        corrected = self.corrected[kind]
        if corrected is None or self.map_area is None:
            return None
        return corrected - self.map_area

    def to_json(self) -> dict[str, Any]:
        """As JSON values, per_class by name."""
        return {
            "map_area": self.map_area,
            "map_corrected": self.corrected,
            "gain": {kind: self.gain(kind) for kind in KINDS},
            "per_class": by_name(self.per_class),
        }


@dataclass(frozen=True)
class Diagnosis:
    """What each detection and object is to the analysis.

    kind (D,): of each detection, 'right' and 'ignored' among them. target (D,): the object
    that a localisation error or confusion points at, NO_OBJECT where that is taken, or for
    the rest. missed (G,): bool."""

    kind: NDArray[np.str_]
    target: NDArray[np.int64]
    missed: NDArray[np.bool_]


def analyse_errors(
    classes: tuple[str, ...], truth: TruthTable, detections: DetectionTable
) -> ErrorAnalysis:
    """Sort the errors into kinds, and correct each kind alone."""
    diagnosis = diagnose(truth, detections)
    per_class = []
    for label, name in enumerate(classes, start=1):
        count = Counter(diagnosis.kind[detections.label == label].tolist())
        count["missed"] = int(diagnosis.missed[truth.label == label].sum())
        per_class.append(ClassErrors(name, **{kind: count[kind] for kind in (RIGHT, *KINDS)}))
    uncorrected, *corrected = (
        _corrected_map(len(classes), truth, detections, diagnosis, kind) for kind in (None, *KINDS)
    )
    corrections = dict(zip(KINDS, corrected, strict=True))
    return ErrorAnalysis(uncorrected, corrections, tuple(per_class))


def diagnose(truth: TruthTable, detections: DetectionTable) -> Diagnosis:
    """The kind of each detection, and which objects are missed."""
    matches = match_detections(truth, detections, FOREGROUND)
    countable = np.flatnonzero(~truth.ignored)
    objects = truth.take(countable)
    own = most_overlapped(detections, objects, "same class")
    other = most_overlapped(detections, objects, "other classes")
    kind = np.select(
        [
            matches.ignored,
            matches.right,
            (own.iou >= BACKGROUND) & (own.iou < FOREGROUND),
            other.iou >= FOREGROUND,
            own.iou >= FOREGROUND,
            other.iou >= BACKGROUND,
        ],
        [IGNORED, RIGHT, "localisation", "confusion", "duplicate", "both"],
        default="background",
    )
    taken = np.zeros(len(truth), bool)
    taken[matches.object[matches.right]] = True
    target = np.full(len(detections), NO_OBJECT)
    for name, overlaps in (("localisation", own), ("confusion", other)):
        of_kind = kind == name
        target[of_kind] = countable[overlaps.object[of_kind]]
    pointing = np.flatnonzero(target != NO_OBJECT)
    target[pointing[taken[target[pointing]]]] = NO_OBJECT
    within_reach = taken.copy()
    within_reach[target[target != NO_OBJECT]] = True
    return Diagnosis(kind, target, ~within_reach & ~truth.ignored)


def _corrected_map(
    classes: int,
    truth: TruthTable,
    detections: DetectionTable,
    diagnosis: Diagnosis,
    kind: str | None,
) -> float | None:
    """mAP with one kind put right (None: with none).

    A localisation error or confusion becomes a match of its object, the best-scored of those
    that point at one; the others of the kind, and errors of the other kinds, are taken away.
    Missed objects are taken from the number to find.
    """
    of_kind = diagnosis.kind == kind
    matched = of_kind & first_claims(np.where(of_kind, diagnosis.target, NO_OBJECT))
    right = (diagnosis.kind == RIGHT) | matched
    counted = (diagnosis.kind != IGNORED) & (~of_kind | matched)
    label = detections.label.copy()
    label[matched] = truth.label[diagnosis.target[matched]]
    to_find = ~truth.ignored & ~(diagnosis.missed & (kind == "missed"))
    averages: list[float | None] = []
    for number in range(1, classes + 1):
        of_class = counted & (label == number)
        objects = int(to_find[truth.label == number].sum())
        if objects:
            averages.append(ap_area(*precision_recall(right[of_class], objects)))
        elif (~truth.ignored[truth.label == number]).any() and of_class.any():
            # All its objects were missed: what it did detect is wrong all the same.
            averages.append(0.0)
    return mean_where_defined(averages)
