"""Margins of the difference between two detectors, by the bootstrap over images.

The images are drawn with replacement many times. Each time both detectors are evaluated on the
same drawn images, so that images that are hard for both add nothing to the margin of the
difference (Efron and Tibshirani, An Introduction to the Bootstrap, 1993).
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from frcnn_cli.engine.evaluation.average_precision import RECALL_LEVELS
from frcnn_cli.engine.evaluation.tables import DetectionTable, TruthTable
from frcnn_cli.engine.evaluation.voc import match_detections

RESAMPLES = 1000
_FEWEST = 200
_WORK = 400_000_000  # drawn detections, above which fewer resamples are made
_AT_ONCE = 4_000_000  # elements of a matrix
_CONFIDENCE = (2.5, 97.5)  # percentiles

Interval = tuple[float, float]


@dataclass(frozen=True)
class DifferenceMargins:
    """95% intervals of the second detector's VOC averages minus the first's, 0 to 1.

    Each is None if nothing can be averaged. per_class: of the 11-point average, in the order of
    the classes.
    """

    resamples: int
    map_11point: Interval | None
    map_area: Interval | None
    per_class: tuple[Interval | None, ...]


def difference_margins(
    classes: int,
    images: int,
    truth: TruthTable,
    first: DetectionTable,
    second: DetectionTable,
    seed: int = 0,
) -> DifferenceMargins:
    """Evaluate both detectors on the same images, drawn with replacement, many times.

    classes, images: numbers of them. Fewer resamples are made of very many detections.
    """
    affordable = _WORK // max(1, len(first) + len(second))
    resamples = int(np.clip(affordable, _FEWEST, RESAMPLES))
    generator = np.random.default_rng(seed)
    drawn = generator.multinomial(images, np.full(images, 1 / images), size=resamples)
    one, other = (resampled_averages(classes, truth, table, drawn) for table in (first, second))
    differences = other - one  # (resamples, classes, 2)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # means without any class
        means = np.nanmean(differences, axis=1)
    return DifferenceMargins(
        resamples,
        _interval(means[:, 0]),
        _interval(means[:, 1]),
        tuple(_interval(differences[:, index, 0]) for index in range(classes)),
    )


def resampled_averages(
    classes: int, truth: TruthTable, found: DetectionTable, drawn: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The 11-point and the area average precision, (R, classes, 2), of each resample.

    drawn: (R, images), how often each resample contains each image. NaN without any object.
    """
    averages = np.full((len(drawn), classes, 2), np.nan)
    matches = match_detections(truth, found, 0.5)
    for index in range(classes):
        of_class = (truth.label == index + 1) & ~truth.ignored
        counted = (found.label == index + 1) & ~matches.ignored
        image, right = found.image[counted], np.flatnonzero(matches.right[counted])
        step = max(1, _AT_ONCE // max(1, len(image)))
        for start in range(0, len(drawn), step):
            rows = slice(start, start + step)
            objects = drawn[rows][:, truth.image[of_class]].sum(axis=1)
            # Precision is highest just after a right detection, so only these points count.
            so_far = drawn[rows][:, image].cumsum(axis=1, dtype=np.float64)[:, right]
            right_so_far = drawn[rows][:, image[right]].cumsum(axis=1, dtype=np.float64)
            averages[rows, index] = _averages(right_so_far, so_far, objects)
    return averages


def _averages(
    right: NDArray[np.float64], detections: NDArray[np.float64], objects: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Both averages, (R, 2), from the counts after each right detection, (R, P)."""
    with np.errstate(invalid="ignore", divide="ignore"):
        # An image that was not drawn has no detections: 0 / 0 at the start is no precision.
        precision = np.nan_to_num(right / detections)
        recall = right / objects[:, None]
    best = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
    levels = [np.where(recall >= level, best, 0).max(axis=1, initial=0) for level in RECALL_LEVELS]
    area = (np.diff(recall, axis=1, prepend=0) * best).sum(axis=1)
    averages = np.stack([np.mean(levels, axis=0), area], axis=1)
    averages[objects == 0] = np.nan
    return averages


def _interval(values: NDArray[np.float64]) -> Interval | None:
    known = values[~np.isnan(values)]
    if len(known) == 0:
        return None
    low, high = np.percentile(known, _CONFIDENCE)
    return float(low), float(high)
