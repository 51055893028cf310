"""Averaging: from right and wrong detections in order of score to one number."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# As the devkit and its Python ports write them, in steps of a floating-point 0.1: a recall of
# exactly 3/10 stays under the level 0.30000000000000004. Published figures are made so.
RECALL_LEVELS = np.arange(11) * 0.1


def precision_recall(
    true_positive: NDArray[np.bool_], objects: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Precision and recall, (D,) each, after each of D counted detections in order of score.

    objects: how many there are to find; with none, recall is NaN.
    """
    right = np.cumsum(true_positive, dtype=np.float64)
    precision = right / np.arange(1, len(right) + 1)
    return precision, right / objects if objects else np.full(len(right), np.nan)


def ap_11point(precision: NDArray[np.float64], recall: NDArray[np.float64]) -> float:
    """VOC2007: the mean, over recalls 0, 0.1, ..., 1, of the best precision at that or more."""
    reached = np.searchsorted(recall, RECALL_LEVELS, side="left")
    envelope = np.append(_envelope(precision), 0.0)
    return float(envelope[reached].mean())


def ap_area(precision: NDArray[np.float64], recall: NDArray[np.float64]) -> float:
    """VOC2010 on: the area under the precision's envelope, by steps of recall."""
    return float(np.sum(np.diff(recall, prepend=0.0) * _envelope(precision)))


def _envelope(precision: NDArray[np.float64]) -> NDArray[np.float64]:
    """The best precision at this recall or any higher one."""
    return np.maximum.accumulate(precision[::-1])[::-1]
