"""Box voting: a detection's place from all the boxes that found the same object."""

from __future__ import annotations

import torch
from torch import Tensor

from frcnn_cli.engine.boxes import iou_tensor

# Of an image with 100 detections and 20 classes of 300 boxes, this many at once are 40 MB.
_KEPT_AT_ONCE = 128


def vote_boxes(
    kept: Tensor, labels: Tensor, boxes: Tensor, box_labels: Tensor, scores: Tensor, iou: float
) -> Tensor:
    """Each of `kept` moved to the mean of the boxes of its class that overlap it by `iou`.

    The mean is weighted by score (S. Gidaris and N. Komodakis, ICCV 2015); scores
    under 0, as SVMs give, count as 0, and a box without any weight stays.
    kept (N, 4) with labels (N,): what suppression left. boxes (M, 4) with box_labels (M,) and
    scores (M,): what it was given. Inclusive corners in pixels. Returns (N, 4).
    """
    if len(kept) == 0:
        return kept
    weights = scores.clamp(min=0)
    parts = []
    chunks = (torch.split(kept, _KEPT_AT_ONCE), torch.split(labels, _KEPT_AT_ONCE))
    for some, of_some in zip(*chunks, strict=True):
        votes = (iou_tensor(some, boxes) >= iou) & (of_some[:, None] == box_labels)
        weighed = votes * weights
        total = weighed.sum(dim=1, keepdim=True)
        parts.append(torch.where(total > 0, weighed @ boxes / total, some))
    return torch.cat(parts)
