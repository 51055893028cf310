"""WSDDN's and OICR's losses and scores as loops over RoIs and classes, written from the papers.

H. Bilen and A. Vedaldi, CVPR 2016, section 3; P. Tang et al., CVPR 2017, section 3, algorithm 1.
In float64, on lists. Column 0 of a refined classifier is the background.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

Matrix = Sequence[Sequence[float]]


def softmax(values: Sequence[float]) -> list[float]:
    exponentials = [math.exp(value) for value in values]
    return [value / sum(exponentials) for value in exponentials]


def scores(recognition: Matrix, detection: Matrix) -> list[list[float]]:
    """Scores by RoI and class: equations 1 and 2 of WSDDN, and their product."""
    rois, classes = len(recognition), len(recognition[0])
    by_class = [softmax(row) for row in recognition]
    by_roi = [softmax([detection[r][c] for r in range(rois)]) for c in range(classes)]
    return [[by_class[r][c] * by_roi[c][r] for c in range(classes)] for r in range(rois)]


def image_loss(recognition: Matrix, detection: Matrix, labels: Sequence[int]) -> float:
    """The energy of WSDDN with y = 1 or -1: the logarithm of y (phi - 1/2) + 1/2, negated.

    labels: 1 and 0 for present and absent, -1 for classes without loss.
    """
    total = 0.0
    found = scores(recognition, detection)
    for c, label in enumerate(labels):
        if label < 0:
            continue
        phi = sum(row[c] for row in found)
        y = 1 if label == 1 else -1
        total -= math.log(y * (phi - 0.5) + 0.5)
    return total


def overlap(a: Sequence[float], b: Sequence[float]) -> float:
    """IoU of boxes with inclusive corners."""
    width = min(a[2], b[2]) - max(a[0], b[0]) + 1
    height = min(a[3], b[3]) - max(a[1], b[1]) + 1
    common = max(width, 0) * max(height, 0)
    first, second = ((box[2] - box[0] + 1) * (box[3] - box[1] + 1) for box in (a, b))
    return common / (first + second - common)


def refined_targets(
    before: Matrix, boxes: Matrix, labels: Sequence[int], threshold: float
) -> tuple[list[int], list[float]]:
    """Labels and weights of all RoIs: algorithm 1 of OICR for one classifier.

    The authors' implementation sets all scores of a RoI to 0 once it supervises a class.
    """
    rois, before = len(boxes), [list(row) for row in before]
    highest, weights, targets = [-math.inf] * rois, [0.0] * rois, [0] * rois
    for c, label in enumerate(labels):
        if label != 1:
            continue
        best = 0
        for r in range(rois):
            if before[r][c] > before[best][c]:
                best = r
        for r in range(rois):
            iou = overlap(boxes[r], boxes[best])
            if iou > highest[r]:
                highest[r], weights[r] = iou, before[best][c]
                targets[r] = c + 1 if iou > threshold else 0
        before[best] = [0.0] * len(labels)
    return targets, weights


def refinement_loss(
    refined: Matrix, before: Matrix, boxes: Matrix, labels: Sequence[int], threshold: float
) -> float:
    """The weighted loss of one refined classifier: equation 5 of OICR."""
    targets, weights = refined_targets(before, boxes, labels, threshold)
    terms = [
        -weight * math.log(softmax(row)[target])
        for row, target, weight in zip(refined, targets, weights, strict=True)
    ]
    return sum(terms) / len(terms)


def oicr_loss(
    recognition: Matrix,
    detection: Matrix,
    refined: Sequence[Matrix],
    boxes: Matrix,
    labels: Sequence[int],
    threshold: float = 0.5,
) -> float:
    """The sum of the losses of all refined classifiers, each supervised by the one before."""
    before, total = scores(recognition, detection), 0.0
    for matrix in refined:
        total += refinement_loss(matrix, before, boxes, labels, threshold)
        before = [softmax(row)[1:] for row in matrix]
    return total


def mean_scores(refined: Sequence[Matrix]) -> list[list[float]]:
    """OICR's scores at test time: the mean of the classifiers' probabilities."""
    rows = zip(*([softmax(row) for row in matrix] for matrix in refined), strict=True)
    return [[sum(values) / len(values) for values in zip(*row, strict=True)] for row in rows]
