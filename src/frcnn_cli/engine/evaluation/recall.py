"""Recall of proposals: how well they cover the objects, independent of a detector.

The best overlap of an object is the highest IoU (inclusive pixels) of a proposal of its image.
MABO is its mean over the objects of each class, then over classes (Uijlings et al., IJCV 2013).
Average recall is twice the area under the recall between IoU 0.5 and 1, or the mean over objects
of 2 max(IoU - 0.5, 0) (Hosang et al., PAMI 2016). COCO's average recall is another measure: the
mean over ten IoUs from 0.5 to 0.95 and over classes. Crowd regions do not count as objects.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from frcnn_cli.engine.boxes import blocks, iou_matrix
from frcnn_cli.engine.records import Dataset, GroundTruth
from frcnn_proposals.base import Proposals

AVERAGE_RECALL = "average recall (Hosang)"
AVERAGE_RECALL_IN_WORDS = "mean over objects of 2 max(IoU - 0.5, 0) (Hosang et al., PAMI 2016)"
THRESHOLDS = tuple(round(0.5 + 0.05 * step, 2) for step in range(11))
COUNTS = (1, 2, 5, 10, 20, 50, 100, 200, 300, 500, 1000, 2000, 5000, 10000, 20000, 50000)


@dataclass(frozen=True)
class Coverage:
    """Statistics of the best overlaps of a set of objects."""

    objects: int
    best_overlap: float
    average_recall: float
    recall_50: float
    recall_70: float


@dataclass(frozen=True)
class RecallResult:
    """The recall for one group of objects: all, or those that are not difficult.

    mabo: mean over classes. overall: over all objects. by_class: for each class that has
    objects. recall: (threshold, recall) for each of THRESHOLDS. by_count: (n, MABO, coverage)
    with the first n proposals of every image, up to the largest number of proposals.
    """

    mabo: float
    overall: Coverage
    by_class: Mapping[str, Coverage]
    recall: tuple[tuple[float, float], ...]
    by_count: tuple[tuple[int, float, Coverage], ...]


@dataclass(frozen=True)
class RecallReport:
    """The recall over `images` images. boxes: mean number of proposals per image."""

    images: int
    boxes: float
    all_objects: RecallResult
    not_difficult: RecallResult


def evaluate_recall(
    dataset: Dataset,
    proposals: Mapping[str, Proposals],
    max_boxes: int | None = None,
    on_image: Callable[[], None] = lambda: None,
) -> RecallReport:
    """Compute the recall of `proposals` on a dataset's ground truth.

    max_boxes: use only the first `max_boxes` proposals of each image. Raises KeyError if an image
    with ground truth has no entry in `proposals`.
    """
    overlaps, labels, difficult, lengths = [], [], [], []
    for record in dataset.images:
        on_image()
        if record.truth is None:
            continue
        truth = _without_crowds(record.truth)
        boxes = proposals[record.image_id].top(max_boxes).boxes
        overlaps.append(best_iou_by_count(truth.boxes, boxes))
        labels.append(truth.labels)
        difficult.append(truth.difficult)
        lengths.append(len(boxes))
    longest = max(lengths, default=0)
    counts = (*(count for count in COUNTS if count < longest), longest)
    best = np.concatenate(overlaps or [np.zeros((0, len(COUNTS) + 1))])
    label = np.concatenate(labels or [np.zeros(0, np.int64)])
    is_easy = ~np.concatenate(difficult or [np.zeros(0, bool)])
    return RecallReport(
        len(lengths),
        float(np.mean(lengths)) if lengths else 0.0,
        _summarise(best, label, dataset.classes, counts),
        _summarise(best[is_easy], label[is_easy], dataset.classes, counts),
    )


def best_iou_by_count(
    objects: NDArray[np.float32], boxes: NDArray[np.float32]
) -> NDArray[np.float64]:
    """(objects, len(COUNTS) + 1): the best IoU of each object among the first n boxes, for each n
    in COUNTS, and among all boxes.
    """
    best = np.zeros((len(objects), len(COUNTS) + 1))
    if len(objects) and len(boxes):
        # In float64, so that an IoU of exactly 7/10 reaches a threshold of 0.7.
        exact = boxes.astype(np.float64)
        last = np.minimum((*COUNTS, len(boxes)), len(boxes)) - 1
        for block in blocks(len(objects), len(boxes)):
            iou = iou_matrix(objects[block].astype(np.float64), exact)
            best[block] = np.maximum.accumulate(iou, axis=1)[:, last]
    return best


def _summarise(
    overlaps: NDArray[np.float64],
    labels: NDArray[np.int64],
    classes: tuple[str, ...],
    counts: tuple[int, ...],
) -> RecallResult:
    """Summarise the result of best_iou_by_count. counts: numbers of boxes to report."""
    best = overlaps[:, -1]
    by_class = {
        name: _coverage(best[labels == label])
        for label, name in enumerate(classes, start=1)
        if (labels == label).any()
    }
    columns = [*range(len(counts) - 1), -1]
    return RecallResult(
        mabo=_mabo(best, labels),
        overall=_coverage(best),
        by_class=by_class,
        recall=tuple((threshold, _share(best >= threshold)) for threshold in THRESHOLDS),
        by_count=tuple(
            (count, _mabo(overlaps[:, column], labels), _coverage(overlaps[:, column]))
            for count, column in zip(counts, columns, strict=True)
        ),
    )


def _mabo(best: NDArray[np.float64], labels: NDArray[np.int64]) -> float:
    means = [best[labels == label].mean() for label in np.unique(labels)]
    return float(np.mean(means)) if means else 0.0


def _coverage(best: NDArray[np.float64]) -> Coverage:
    return Coverage(
        objects=len(best),
        best_overlap=float(best.mean()) if len(best) else 0.0,
        average_recall=float(2 * np.maximum(best - 0.5, 0).mean()) if len(best) else 0.0,
        recall_50=_share(best >= 0.5),
        recall_70=_share(best >= 0.7),
    )


def _share(hits: NDArray[np.bool_]) -> float:
    return float(hits.mean()) if len(hits) else 0.0


def _without_crowds(truth: GroundTruth) -> GroundTruth:
    if not truth.crowd.any():
        return truth
    objects = ~truth.crowd
    return GroundTruth(truth.boxes[objects], truth.labels[objects], truth.difficult[objects])
