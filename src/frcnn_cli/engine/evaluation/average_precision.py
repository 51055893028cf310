"""Average precision from right and wrong detections in order of score."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Multiples of a floating-point 0.1, as in the devkit and its Python ports, which published results
# use: a recall of exactly 3/10 is below the level 0.30000000000000004.
RECALL_LEVELS = np.arange(11) * 0.1


def precision_recall(
    true_positive: NDArray[np.bool_], objects: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Precision and recall, (D,) each, after each of D counted detections in order of score.

    objects: number of ground-truth objects; with 0, recall is NaN.
    """
    right = np.cumsum(true_positive, dtype=np.float64)
    precision = right / np.arange(1, len(right) + 1)
    return precision, right / objects if objects else np.full(len(right), np.nan)


def ap_11point(precision: NDArray[np.float64], recall: NDArray[np.float64]) -> float:
    """VOC2007: the mean of the best precision at a recall of at least 0, 0.1, ..., 1."""
    reached = np.searchsorted(recall, RECALL_LEVELS, side="left")
    envelope = np.append(_envelope(precision), 0.0)
    return float(envelope[reached].mean())


def ap_area(precision: NDArray[np.float64], recall: NDArray[np.float64]) -> float:
    """VOC2010 and later: the area under the envelope of the precision-recall curve."""
    return float(np.sum(np.diff(recall, prepend=0.0) * _envelope(precision)))


def _envelope(precision: NDArray[np.float64]) -> NDArray[np.float64]:
    """The best precision at this recall or higher."""
    return np.maximum.accumulate(precision[::-1])[::-1]
