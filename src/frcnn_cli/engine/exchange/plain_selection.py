"""Selection of RoIs from basic tensor operators, for exported models.

The results equal those of `frcnn_cli.engine.detection.views`. No loop depends on the data, so that
a traced program can contain it.
"""

from __future__ import annotations

import torch
from torch import Tensor

from frcnn_cli.engine.boxes import iou_matrix
from frcnn_cli.engine.detection.views import NEAR_DUPLICATE_IOU

# Suppression is exact if no box depends on a chain of more than this many better ones. For 2,000
# boxes of selective search, 17 was the longest chain that was measured.
_PASSES = 32


def best_ranked(objectness: Tensor, boxes: Tensor, most: int) -> Tensor:
    """The first `most` proposals in the order of `ranked_order`, as ascending indices.

    objectness: (R,). boxes: (R, 4). Returns int64 (min(R, most),).
    """
    rows = torch.arange(objectness.shape[0])
    equal = objectness[None] == objectness[:, None]
    # Row i of a matrix is about the boxes that are better than box i.
    better = (objectness[None] > objectness[:, None]) | (equal & (rows[None] < rows[:, None]))
    # In float32, an IoU of exactly 4/5 exceeds the operator's double threshold.
    near = (better & (iou_matrix(boxes, boxes) >= NEAR_DUPLICATE_IOU)).float()
    # A box stays unless a better one that stays is near. Each pass decides the boxes that depend
    # on one more better box.
    stays = torch.ones_like(objectness)
    for _ in range(_PASSES):
        stays = (near @ stays == 0).float()
    ahead = better.float()
    duplicate = 1 - stays
    position = torch.where(stays > 0, ahead @ stays, stays.sum() + ahead @ duplicate)
    return _first(-position, most)


def best_scored(scores: Tensor, most: int) -> Tensor:
    """The `most` RoIs with the highest score of any class, as ascending indices.

    scores: (R, K + 1). Returns int64 (min(R, most),).
    """
    return _first(scores[:, 1:].amax(dim=1), most)


def _first(values: Tensor, most: int) -> Tensor:
    count = torch.sym_min(most, values.shape[0])
    return values.topk(count).indices.sort().values
