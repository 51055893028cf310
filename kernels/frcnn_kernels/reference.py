"""Readable reference implementations that the compiled operators are tested against.

Plain loops over the definitions, with the same float32 arithmetic for positions. Slow; inputs on
the CPU. The reference of selective search is longer and lives in the tests.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor


def roi_pool_reference(
    features: Tensor, rois: Tensor, output_size: tuple[int, int], spatial_scale: float
) -> tuple[Tensor, Tensor]:
    """RoI pooling by its definition; returns the maxima and the cell of each (h * W + w, or -1).

    Cells are int16 if int16 can number all cells of the map, else int32. A maximum is above the
    lowest float32; without one, as in a window of NaNs, the result is this number and cell -1.
    """
    lowest = torch.tensor(torch.finfo(torch.float32).min).to(features.dtype)
    height, width = features.shape[2:]
    pooled = features.new_zeros((len(rois), features.shape[1], *output_size))
    cell_type = torch.int16 if height * width <= 2**15 else torch.int32
    argmax = torch.full(pooled.shape, -1, dtype=cell_type)
    number = np.float64 if rois.dtype == torch.float64 else np.float32
    for r, (image, x1, y1, x2, y2) in enumerate(rois.cpu().numpy()):
        vertical = roi_window(y1, y2, spatial_scale, number)
        horizontal = roi_window(x1, x2, spatial_scale, number)
        rows = sub_windows(*vertical, output_size[0], height, number)
        columns = sub_windows(*horizontal, output_size[1], width, number)
        for i, (top, bottom) in enumerate(rows):
            for j, (left, right) in enumerate(columns):
                if bottom <= top or right <= left:
                    continue
                window = features[int(image), :, top:bottom, left:right].flatten(1)
                best, cell = window.masked_fill(~(window > lowest), -math.inf).max(dim=1)
                row, column = cell // (right - left), cell % (right - left)
                found = best > -math.inf
                cell = torch.where(found, (top + row) * width + left + column, -1)
                pooled[r, :, i, j] = torch.where(found, best, lowest)
                argmax[r, :, i, j] = cell.to(cell_type)
    return pooled, argmax


def roi_pool_backward_reference(
    grad_output: Tensor, rois: Tensor, argmax: Tensor, shape: tuple[int, int, int, int]
) -> Tensor:
    """dL/dx: the sum of dL/dy over all outputs y whose maximum is x, in float32 or float64."""
    wide = torch.promote_types(grad_output.dtype, torch.float32)
    values, cells = grad_output.to(wide).flatten(2).numpy(), argmax.flatten(2).numpy()
    gradient = torch.zeros(shape, dtype=wide).flatten(2)
    for r, image in enumerate(rois[:, 0].int().tolist()):
        for c in range(shape[1]):
            filled = cells[r, c] >= 0
            np.add.at(gradient[image, c].numpy(), cells[r, c][filled], values[r, c][filled])
    return gradient.reshape(shape).to(grad_output.dtype)


def roi_window(
    low: float, high: float, spatial_scale: float, number: type = np.float32
) -> tuple[int, int]:
    """The first cell of a RoI and its number of cells, in one dimension of the feature map.

    low, high: its corners in image pixels. number: NumPy type of the RoIs.
    """
    start = _round_half_away(number(low) * number(spatial_scale))
    length = _round_half_away(number(high) * number(spatial_scale)) - start + 1
    return start, max(length, 1)


def sub_windows(
    start: int, length: int, bins: int, extent: int, number: type = np.float32
) -> list[tuple[int, int]]:
    """The first cell of each bin, and the one after its last, in one dimension of the feature map.

    start, length: of roi_window. extent: cells of the map, to which the bins are clipped.
    """
    size = number(length) / number(bins)
    return [
        (
            min(max(int(np.floor(number(i) * size)) + start, 0), extent),
            min(max(int(np.ceil(number(i + 1) * size)) + start, 0), extent),
        )
        for i in range(bins)
    ]


def _round_half_away(position: float) -> int:
    whole = np.trunc(position)
    return int(whole + np.sign(position)) if abs(position - whole) >= 0.5 else int(whole)


def nms_reference(
    boxes: Tensor, scores: Tensor, iou_threshold: float, labels: Tensor | None = None
) -> Tensor:
    """Greedy suppression by its definition, in float32."""
    order = torch.argsort(scores, descending=True, stable=True).tolist()
    kept: list[int] = []
    for i in order:
        rivals = [k for k in kept if labels is None or labels[k] == labels[i]]
        if all(_iou(boxes[i], boxes[k]) <= iou_threshold for k in rivals):
            kept.append(i)
    return torch.tensor(kept, dtype=torch.int64)


def depthwise_weight_gradient_reference(gradient: Tensor, x: Tensor, stride: int) -> Tensor:
    """dL/dw (C, 1, 5, 5) by its definition, in float64.

    dL/dw[c, i, j] = sum over n, y, z of gradient[n, c, y, z] x[n, c, y s + i - 2, z s + j - 2],
    where x is zero outside the image.
    """
    images, channels, height, width = x.shape
    padded = torch.zeros(images, channels, height + 4, width + 4, dtype=torch.float64)
    padded[:, :, 2:-2, 2:-2] = x.double()
    result = torch.zeros(channels, 1, 5, 5, dtype=torch.float64)
    for i in range(5):
        for j in range(5):
            cells = padded[:, :, i::stride, j::stride]
            cells = cells[:, :, : gradient.shape[2], : gradient.shape[3]]
            result[:, 0, i, j] = (cells * gradient.double()).sum((0, 2, 3))
    return result


def _iou(a: Tensor, b: Tensor) -> float:
    size = (torch.minimum(a[2:], b[2:]) - torch.maximum(a[:2], b[:2])).clamp(min=0)
    shared = size[0] * size[1]
    areas = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    return float(shared / (areas - shared))
