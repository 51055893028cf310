"""The choice of the proposals that the page shows in full."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from frcnn_cli.engine.boxes import areas, best_overlaps, continuous
from frcnn_cli.engine.records import BACKGROUND, Detections, GroundTruth
from frcnn_kernels import nms

MOST = 40
MOST_BEST, MOST_NEAR, MOST_BACKGROUND = 16, 10, 6
# IoU with the nearest object: of a near miss, and of the background (paper, section 2.3).
NEAR, BEHIND = (0.3, 0.5), 0.1
APART = 0.5  # maximum IoU of two near misses, and of two that are background

Kind = Literal["best", "near miss", "background", "highest score", "random"]


@dataclass(frozen=True)
class Reason:
    """Why a proposal is chosen. label, iou: of the object with the highest IoU; 0 without one."""

    kind: Kind
    label: int = BACKGROUND
    iou: float = 0.0


def choose_rois(
    boxes: NDArray[np.float32],
    scores: Tensor,
    truth: GroundTruth | None,
    detections: Detections,
    generator: np.random.Generator,
) -> dict[int, Reason]:
    """Indices of up to MOST proposals (R, 4), with the reason for each, in the page's order.

    scores: (R, K + 1). Objects are those of the ground truth, largest first, or else the
    detections. The proposal with the highest IoU with each object comes first, then near misses and
    background that the network scores highest, and proposals drawn at random. Without any object,
    the proposals with the highest scores replace the first three kinds.
    """
    objects, labels = _objects(truth, detections)
    nearest, overlap = np.zeros(len(boxes), np.int64), np.zeros(len(boxes), np.float32)
    if len(objects):
        nearest, overlap = best_overlaps(boxes, objects)
    chosen: dict[int, Reason] = {}

    def add(rows: NDArray[np.int64], kind: Kind, most: int) -> None:
        new = [row for row in dict.fromkeys(rows.tolist()) if row not in chosen]
        for row in new[: min(most, MOST - len(chosen))]:
            label = int(labels[nearest[row]]) if overlap[row] > 0 else BACKGROUND
            chosen[row] = Reason(kind, label, float(overlap[row]))

    def best_apart(rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Those that the network scores highest, without near duplicates."""
        inclusive, highest = torch.from_numpy(boxes[rows]), scores[rows, 1:].amax(dim=1)
        kept: NDArray[np.int64] = nms(continuous(inclusive), highest, APART).numpy()
        return rows[kept]

    if len(objects):
        add(_best_of_each(nearest, overlap, len(objects)), "best", MOST_BEST)
        is_near = (overlap >= NEAR[0]) & (overlap < NEAR[1])
        add(best_apart(np.flatnonzero(is_near)), "near miss", MOST_NEAR)
        add(best_apart(np.flatnonzero(overlap < BEHIND)), "background", MOST_BACKGROUND)
    else:
        add(best_apart(np.arange(len(boxes))), "highest score", MOST_BEST)
    add(generator.permutation(len(boxes)), "random", MOST)
    return chosen


def _objects(
    truth: GroundTruth | None, detections: Detections
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Boxes and labels of the objects, in the order in which their proposals are listed."""
    if truth is None:
        return detections.boxes, detections.labels
    rows = np.flatnonzero(~truth.crowd)
    rows = rows[np.argsort(-areas(truth.boxes[rows]), kind="stable")]
    return truth.boxes[rows], truth.labels[rows]


def _best_of_each(
    nearest: NDArray[np.int64], overlap: NDArray[np.float32], objects: int
) -> NDArray[np.int64]:
    """The proposal with the highest IoU with each object, if it overlaps; of equal ones, the first.

    nearest, overlap: (R,), the nearest object of each proposal, and the IoU with it.
    """
    own = [np.flatnonzero((nearest == index) & (overlap > 0)) for index in range(objects)]
    return np.array([rows[overlap[rows].argmax()] for rows in own if len(rows)], np.int64)
