"""Precision-recall curves of a dataset's classes, by the VOC rules."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from frcnn_cli.engine.evaluation.average_precision import precision_recall
from frcnn_cli.engine.evaluation.tables import DetectionTable, TruthTable
from frcnn_cli.engine.evaluation.voc import match_detections


@dataclass(frozen=True)
class Curve:
    """One class. precision, recall, score (D,): after each counted detection, best score first."""

    name: str
    precision: NDArray[np.float64]
    recall: NDArray[np.float64]
    score: NDArray[np.float64]

    def thinned(self, most: int) -> tuple[list[float], list[float]]:
        """Recall and precision of at most `most` points, evenly by recall, each the best of its
        stretch."""
        if len(self.recall) == 0:
            return [], []
        bounds = np.linspace(0, self.recall[-1], most)
        points = np.unique(np.searchsorted(self.recall, bounds).clip(max=len(self.recall) - 1))
        return self.recall[points].tolist(), self.precision[points].tolist()


def precision_recall_curves(
    classes: tuple[str, ...],
    truth: TruthTable,
    detections: DetectionTable,
    iou_threshold: float = 0.5,
) -> tuple[Curve, ...]:
    """The curves whose areas `evaluate_voc` gives, for the classes that have an object."""
    matches = match_detections(truth, detections, iou_threshold)
    curves = []
    for label, name in enumerate(classes, start=1):
        objects = int((~truth.ignored[truth.label == label]).sum())
        counted = (detections.label == label) & ~matches.ignored
        if objects:
            precision, recall = precision_recall(matches.right[counted], objects)
            curves.append(Curve(name, precision, recall, detections.score[counted]))
    return tuple(curves)
