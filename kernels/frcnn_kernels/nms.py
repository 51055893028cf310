"""Greedy non-maximum suppression, over all boxes or per class."""

from __future__ import annotations

import torch
from torch import Tensor


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Remove each box whose IoU with a kept box of higher score is above `iou_threshold`.

    boxes: (B, 4), x1, y1, x2, y2 in continuous coordinates (width = x2 - x1); for inclusive
        pixel corners, add 1 to x2 and y2 first.
    scores: (B,).

    Returns the indices of the kept boxes, int64, in order of decreasing score; of boxes with equal
    scores the first one comes first. Raises ValueError for invalid arguments.
    """
    _check(boxes, scores, None, iou_threshold)
    kept: Tensor = torch.ops.frcnn.nms(boxes, scores, None, iou_threshold)
    return kept


def batched_nms(boxes: Tensor, scores: Tensor, labels: Tensor, iou_threshold: float) -> Tensor:
    """Apply `nms` to the boxes of each label separately; labels: (B,), int64.

    Labels are compared, not added to the coordinates as offsets, so no precision is lost.
    """
    _check(boxes, scores, labels, iou_threshold)
    kept: Tensor = torch.ops.frcnn.nms(boxes, scores, labels, iou_threshold)
    return kept


def _check(boxes: Tensor, scores: Tensor, labels: Tensor | None, iou_threshold: float) -> None:
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"boxes must be (B, 4), not {tuple(boxes.shape)}")
    if boxes.dtype != torch.float32 or scores.dtype != torch.float32:
        raise ValueError(f"boxes and scores must be float32, not {boxes.dtype}, {scores.dtype}")
    for name, tensor in (("scores", scores), ("labels", labels)):
        if tensor is None:
            continue
        if tuple(tensor.shape) != (boxes.shape[0],):
            raise ValueError(f"{name} must be ({boxes.shape[0]},), not {tuple(tensor.shape)}")
        if tensor.device != boxes.device:
            raise ValueError(f"boxes are on {boxes.device}, but {name} on {tensor.device}")
    if labels is not None and labels.dtype != torch.int64:
        raise ValueError(f"labels must be int64, not {labels.dtype}")
    if not 0 <= iou_threshold <= 1:
        raise ValueError(f"iou_threshold must be between 0 and 1, not {iou_threshold}")


@torch.library.register_fake("frcnn::nms")
def _nms_fake(boxes: Tensor, scores: Tensor, labels: Tensor | None, iou_threshold: float) -> Tensor:
    kept = torch.library.get_ctx().new_dynamic_size()
    return boxes.new_empty((kept,), dtype=torch.int64)
