"""Arithmetic on boxes: areas, IoU, clipping, flipping, and regression offsets.

Boxes are (N, 4), x1, y1, x2, y2 with inclusive corners: a width is x2 - x1 + 1. Only functions on
tensors import torch, so that settings load without it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

# NumPy arrays, or torch tensors on any device.
Boxes = TypeVar("Boxes", NDArray[np.float32], NDArray[np.float64], "Tensor")
BoxCoding = Literal["inclusive", "caffe"]
# Offsets are relative to a width of x2 - x1 + 1, or in the first implementation of x2 - x1 + 1e-14
# (whose IoU still uses x2 - x1 + 1).
_WIDTH_OFFSET: dict[str, float] = {"inclusive": 1.0, "caffe": 1e-14}
_ELEMENTS_AT_ONCE = 1 << 18  # of a matrix; larger temporary arrays leave the processor's cache
_NO_AREA = 1e-30
# Limit for dw and dh, so that extreme offsets give finite boxes.
_MAX_LOG_RATIO = float(np.log(1000.0 / 16.0))


def areas(boxes: Boxes) -> Boxes:
    """Return areas in pixels, (...,), of boxes (..., 4); 0 for an inverted box."""
    width, height = boxes[..., 2] - boxes[..., 0] + 1, boxes[..., 3] - boxes[..., 1] + 1
    area: Boxes = width.clip(min=0) * height.clip(min=0)
    return area


def iou(a: Boxes, b: Boxes) -> Boxes:
    """Return intersection over union, (...,), of boxes (..., 4) and (..., 4), with broadcasting.

    Two boxes without area have IoU 0.
    """
    width = a[..., 2].clip(max=b[..., 2]) - a[..., 0].clip(min=b[..., 0]) + 1
    height = a[..., 3].clip(max=b[..., 3]) - a[..., 1].clip(min=b[..., 1]) + 1
    intersection = width.clip(min=0) * height.clip(min=0)
    overlap: Boxes = intersection / (areas(a) + areas(b) - intersection).clip(min=_NO_AREA)
    return overlap


def iou_matrix(a: Boxes, b: Boxes) -> Boxes:
    """Return intersection over union, (N, M), of each box of a (N, 4) with each of b (M, 4)."""
    return iou(a[:, None], b[None])


def best_overlaps(
    boxes: NDArray[np.float32], objects: NDArray[np.float32]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return for each of `boxes` (N, 4) the index of the object with the highest IoU, and that IoU.

    The first of equal ones is returned. `objects` (M, 4) must not be empty. Memory does not grow
    with N * M.
    """
    best, overlap = np.zeros(len(boxes), np.int64), np.zeros(len(boxes), np.float32)
    columns = np.asfortranarray(boxes)  # operations run along the longer axis, the boxes
    for block in blocks(len(boxes), len(objects)):
        matrix = iou_matrix(objects, columns[block])
        best[block], overlap[block] = matrix.argmax(axis=0), matrix.max(axis=0)
    return best, overlap


def overlapping(
    boxes: NDArray[np.float32], objects: NDArray[np.float32], least: float
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Return the indices of those `boxes` (N, 4) whose best_overlaps are at least `least`.

    Also returns best_overlaps of these boxes. If they are few, this is faster than best_overlaps
    of all boxes.
    """
    columns = np.asfortranarray(boxes)
    rows, best = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    overlap = [np.zeros(0, np.float32)]
    for block in blocks(len(boxes), len(objects)) if len(objects) else ():
        matrix = iou_matrix(objects, columns[block])
        highest = matrix.max(axis=0)
        chosen = np.flatnonzero(highest >= least)
        rows.append(chosen + block.start)
        best.append(matrix[:, chosen].argmax(axis=0))
        overlap.append(highest[chosen])
    return np.concatenate(rows), np.concatenate(best), np.concatenate(overlap)


def blocks(rows: int, columns: int) -> Iterator[slice]:
    """Split the rows of a large matrix, so that each block has a bounded number of elements."""
    step = max(1, _ELEMENTS_AT_ONCE // max(1, columns))
    return (slice(start, start + step) for start in range(0, rows, step))


def clip_boxes(boxes: Tensor, height: int, width: int) -> Tensor:
    """Clip boxes (..., 4) to an image of `height` x `width` pixels."""
    limits = boxes.new_tensor([width - 1, height - 1, width - 1, height - 1])
    return boxes.clamp(min=0).minimum(limits)


def continuous(boxes: Tensor) -> Tensor:
    """Boxes (..., 4) with corners as the operators `nms` and `batched_nms` take them.

    The operators use continuous coordinates, in which a width is x2 - x1: 1 is added to x2, y2.
    """
    return boxes + boxes.new_tensor([0.0, 0.0, 1.0, 1.0])


def flip_boxes(boxes: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """Mirror boxes (N, 4) left to right: x becomes width - 1 - x."""
    flipped = boxes.copy()
    flipped[:, 0] = width - 1 - boxes[:, 2]
    flipped[:, 2] = width - 1 - boxes[:, 0]
    return flipped


def encode_boxes(proposals: Tensor, targets: Tensor, coding: BoxCoding = "inclusive") -> Tensor:
    """Return offsets (tx, ty, tw, th) from each of `proposals` (N, 4) to its target (N, 4).

    tx = (Gx - Px) / Pw, ty = (Gy - Py) / Ph, tw = log(Gw / Pw), th = log(Gh / Ph), with
    (x, y) the centres (paper, section 2.3, after R-CNN's appendix C).
    """
    import torch

    px, py, pw, ph = _centres(proposals, coding)
    gx, gy, gw, gh = _centres(targets, coding)
    return torch.stack(
        ((gx - px) / pw, (gy - py) / ph, torch.log(gw / pw), torch.log(gh / ph)), dim=-1
    )


def decode_boxes(proposals: Tensor, offsets: Tensor, coding: BoxCoding = "inclusive") -> Tensor:
    """Return the boxes for the given offsets: the inverse of encode_boxes.

    proposals: (N, 4). offsets: (N, 4 C), four per class. Returns (N, C, 4).
    """
    import torch

    px, py, pw, ph = (values[:, None] for values in _centres(proposals, coding))
    count, numbers = offsets.shape
    dx, dy, dw, dh = offsets.reshape(count, numbers // 4, 4).unbind(-1)
    width = torch.exp(dw.clamp(max=_MAX_LOG_RATIO)) * pw
    height = torch.exp(dh.clamp(max=_MAX_LOG_RATIO)) * ph
    x1 = px + dx * pw - 0.5 * width
    y1 = py + dy * ph - 0.5 * height
    offset = _WIDTH_OFFSET[coding]
    return torch.stack((x1, y1, x1 + width - offset, y1 + height - offset), dim=-1)


def _centres(boxes: Tensor, coding: BoxCoding) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return centre x, centre y, width and height, each (N,)."""
    offset = _WIDTH_OFFSET[coding]
    width = boxes[:, 2] - boxes[:, 0] + offset
    height = boxes[:, 3] - boxes[:, 1] + offset
    return boxes[:, 0] + 0.5 * width, boxes[:, 1] + 0.5 * height, width, height
