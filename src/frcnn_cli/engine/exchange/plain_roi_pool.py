"""RoI pooling from basic tensor operators, for runtimes without an operator for it.

The result is bit-identical to frcnn_kernels.roi_pool. The maximum of a window is the maximum of
four overlapping rectangles whose sides are powers of two (a two-dimensional sparse table). This
needs no loop over RoIs, whose number is unknown in a traced program.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

Bounds = tuple[Tensor, Tensor]


def plain_roi_pool(
    feature_map: Tensor,
    rois: Tensor,
    output_size: tuple[int, int],
    spatial_scale: float,
    longest: int,
) -> Tensor:
    """Pool the RoIs of one image to `output_size`, without gradients.

    feature_map: (1, C, h, w), h and w at most `longest`. rois: (R, 5), image index (ignored, since
    it is 0) and corners in image pixels. Returns (R, C, *output_size).
    """
    height, width = feature_map.shape[2:]
    rows = _windows(rois[:, 2], rois[:, 4], spatial_scale, output_size[0], height)
    columns = _windows(rois[:, 1], rois[:, 3], spatial_scale, output_size[1], width)
    levels = int(math.log2(longest)) + 1
    table = _table(feature_map[0].permute(1, 2, 0), levels)
    pooled = None
    row_level, column_level = _level(rows, levels), _level(columns, levels)
    for y in _intervals(rows, row_level):
        for x in _intervals(columns, column_level):
            level = row_level[:, :, None] * levels + column_level[:, None, :]
            cells = (level * height + y[:, :, None]) * width + x[:, None, :]
            corner = table[cells]
            pooled = corner if pooled is None else torch.maximum(pooled, corner)
    assert pooled is not None
    full = (rows[1] > rows[0])[:, :, None] & (columns[1] > columns[0])[:, None, :]
    return torch.where(full[..., None], pooled, 0.0).permute(0, 3, 1, 2)


def _windows(low: Tensor, high: Tensor, spatial_scale: float, bins: int, extent: int) -> Bounds:
    """Start and end (exclusive) of each bin in cells, int64 (R, bins), clamped to the map."""
    start = round_half_away(low * spatial_scale)[:, None]
    length = (round_half_away(high * spatial_scale)[:, None] - start + 1).clamp(min=1)
    size = length / bins
    index = torch.arange(bins, dtype=low.dtype, device=low.device)
    first = torch.floor(index * size) + start
    end = torch.ceil((index + 1) * size) + start
    return first.clamp(0, extent).long(), end.clamp(0, extent).long()


def round_half_away(position: Tensor) -> Tensor:
    """The nearest whole numbers, as float32, in the rounding of RoI pooling."""
    whole = torch.trunc(position)
    return whole + torch.sign(position) * ((position - whole).abs() >= 0.5)


def _level(bounds: Bounds, levels: int) -> Tensor:
    """The largest k such that 2^k cells fit in each window; 0 for an empty window."""
    size = bounds[1] - bounds[0]
    return sum(((size >= 2**k).long() for k in range(1, levels)), start=torch.zeros_like(size))


def _intervals(bounds: Bounds, level: Tensor) -> Bounds:
    """Starts of two intervals of length 2^level that cover each window together."""
    first, end = bounds
    # An empty window may start at the end of the map; its value is not used.
    last = torch.maximum(end - 2**level, torch.zeros_like(first))
    return torch.minimum(first, last), last


def _table(cells: Tensor, levels: int) -> Tensor:
    """(h, w, C) -> (levels^2 h w, C): maxima of 2^i x 2^j cells from each cell, all i, j."""
    rows = torch.stack(_maxima(cells, levels, 0))
    return torch.stack(_maxima(rows, levels, 2), dim=1).flatten(0, 3)


def _maxima(values: Tensor, levels: int, dim: int) -> list[Tensor]:
    """The maxima of 1, 2, 4, ... consecutive values that start at each value along `dim`."""
    maxima = [values]
    for k in range(levels - 1):
        padding = (0, 0) * (values.ndim - 1 - dim) + (0, 2**k)
        padded = F.pad(maxima[-1], padding, value=-math.inf)
        maxima.append(torch.maximum(maxima[-1], padded.narrow(dim, 2**k, values.shape[dim])))
    return maxima
