"""Selection of boxes from basic tensor operators, for exported models.

The results equal those of `frcnn_cli.engine.detection.views`. The only loop is an operator of the
traced program, which repeats it as often as its inputs need.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from frcnn_cli.engine.detection.views import NEAR_DUPLICATE_IOU
from frcnn_cli.engine.exchange.plain_roi_pool import round_half_away


def best_ranked(objectness: Tensor, boxes: Tensor, most: int) -> Tensor:
    """The first `most` proposals in the order of `ranked_order`, as ascending indices.

    objectness: (R,). boxes: (R, 4). Returns int64 (min(R, most),).
    """
    rows = torch.arange(objectness.shape[0])
    equal = objectness[None] == objectness[:, None]
    # Row i of a matrix is about the boxes that are better than box i.
    better = (objectness[None] > objectness[:, None]) | (equal & (rows[None] < rows[:, None]))
    near = (better & overlaps_more(boxes, NEAR_DUPLICATE_IOU)).float()
    stays = survivors(near, torch.ones_like(objectness))
    ahead = better.float()
    duplicate = 1 - stays
    position = torch.where(stays > 0, ahead @ stays, stays.sum() + ahead @ duplicate)
    return _first(-position, most)


def best_scored(scores: Tensor, most: int) -> Tensor:
    """The `most` RoIs with the highest score of any class, as ascending indices.

    scores: (R, K + 1). Returns int64 (min(R, most),).
    """
    return _first(scores[:, 1:].amax(dim=1), most)


def first_of_window(rois: Tensor, stride: int) -> Tensor:
    """For each RoI the first one that covers the same window of the feature map, int64 (R,).

    Detection computes the outputs of each window once (`distinct_windows`), so that its RoIs have
    equal scores. Outputs that are computed per RoI can differ by rounding, which would make another
    of them the best one. rois: (R, 5). stride: of the map.
    """
    cells = round_half_away(rois[:, 1:] * (1.0 / stride))
    same = (cells[:, None] == cells[None]).all(dim=2).float()
    # The last column, which is never the first maximum, allows for no RoIs.
    return torch.cat([same, torch.zeros_like(same[:, :1].sum(1, True))], dim=1).argmax(dim=1)


def survivors(near: Tensor, candidates: Tensor) -> Tensor:
    """What non-maximum suppression keeps: 1 or 0 for each box, (..., M).

    near: (..., M, M), 1 where the box of the column is better than the box of the row, and
    overlaps it too much. candidates: (..., M), 0 for boxes that neither stay nor suppress others.
    """

    # A box stays unless a better one that stays is near. Each pass decides the boxes that depend
    # on one more better box, so that a pass without a change is the last one.
    def changed(stays: Tensor, before: Tensor, near: Tensor, candidates: Tensor) -> Tensor:
        # `any` of no boxes is true in onnxruntime, and the loop would not end.
        return (stays - before).abs().sum() > 0

    def decide(
        stays: Tensor, before: Tensor, near: Tensor, candidates: Tensor
    ) -> tuple[Tensor, Tensor]:
        suppressed = (near @ stays[..., None])[..., 0] > 0
        return torch.where(suppressed, 0.0, candidates), stays.clone()

    candidates = candidates.contiguous()  # the loop requires equal strides
    start = torch.ones_like(candidates), torch.zeros_like(candidates)
    loop = torch.ops.higher_order.while_loop
    stays: Tensor = loop(changed, decide, start, (near, candidates))[0]
    return stays


def overlaps_more(boxes: Tensor, iou: float) -> Tensor:
    """Whether the IoU of each two boxes is higher than `iou`, bool (..., M, M).

    The operations are those of frcnn_kernels.nms in the same order, so that both agree at the
    threshold. boxes: (..., M, 4), inclusive corners.
    """
    x1, y1, x2, y2 = (boxes + boxes.new_tensor([0.0, 0.0, 1.0, 1.0])).unbind(-1)
    width, height = (
        torch.minimum(high[..., None], high[..., None, :])
        - torch.maximum(low[..., None], low[..., None, :])
        for low, high in ((x1, x2), (y1, y2))
    )
    shared = width.clamp(min=0) * height.clamp(min=0)
    area = (x2 - x1) * (y2 - y1)
    return shared / (area[..., None] + area[..., None, :] - shared) > _float_not_above(iou)


def _float_not_above(threshold: float) -> float:
    """The largest float32 that is not above the threshold."""
    rounded = np.float32(threshold)
    if float(rounded) > threshold:
        rounded = np.nextafter(rounded, np.float32(0))
    return float(rounded)


def _first(values: Tensor, most: int) -> Tensor:
    count = torch.sym_min(most, values.shape[0])
    order = values.sort(descending=True, stable=True).indices[:count]
    return order.sort().values
