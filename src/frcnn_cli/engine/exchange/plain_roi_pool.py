"""RoI pooling by plain tensor operators, for runtimes that have no operator for it.

Equal to frcnn_kernels.roi_pool to the bit. The maximum of a window is that of four overlapping
squares whose sides are powers of two (a sparse table in two dimensions), which takes no loop
over RoIs, whose number a traced program does not know.
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
    """Pools every RoI of one image to one size, without gradients.

    feature_map: (1, C, h, w), neither h nor w over `longest`. rois: (R, 5), image index (not
    read: it is 0) and corners in image pixels. Returns (R, C, *output_size).
    """
    height, width = feature_map.shape[2:]
    rows = _windows(rois[:, 2], rois[:, 4], spatial_scale, output_size[0], height)
    columns = _windows(rois[:, 1], rois[:, 3], spatial_scale, output_size[1], width)
    levels = int(math.log2(longest)) + 1
    table = _table(feature_map[0].permute(1, 2, 0), levels)
    pooled = None
    row_level, column_level = _level(rows, levels), _level(columns, levels)
    for y in _squares(rows, row_level):
        for x in _squares(columns, column_level):
            level = row_level[:, :, None] * levels + column_level[:, None, :]
            cells = (level * height + y[:, :, None]) * width + x[:, None, :]
            corner = table[cells]
            pooled = corner if pooled is None else torch.maximum(pooled, corner)
    assert pooled is not None
    full = (rows[1] > rows[0])[:, :, None] & (columns[1] > columns[0])[:, None, :]
    return torch.where(full[..., None], pooled, 0.0).permute(0, 3, 1, 2)


def _windows(low: Tensor, high: Tensor, spatial_scale: float, bins: int, extent: int) -> Bounds:
    """First cell of each bin and the one behind its last, int64 (R, bins), within the map."""
    start = _round_half_away(low * spatial_scale)[:, None]
    length = (_round_half_away(high * spatial_scale)[:, None] - start + 1).clamp(min=1)
    size = length / bins
    index = torch.arange(bins, dtype=low.dtype, device=low.device)
    first = torch.floor(index * size) + start
    behind = torch.ceil((index + 1) * size) + start
    return first.clamp(0, extent).long(), behind.clamp(0, extent).long()


def _round_half_away(position: Tensor) -> Tensor:
    whole = torch.trunc(position)
    return whole + torch.sign(position) * ((position - whole).abs() >= 0.5)


def _level(bounds: Bounds, levels: int) -> Tensor:
    """The largest k with 2^k cells in each window; 0 for an empty one."""
    size = bounds[1] - bounds[0]
    return sum(((size >= 2**k).long() for k in range(1, levels)), start=torch.zeros_like(size))


def _squares(bounds: Bounds, level: Tensor) -> Bounds:
    """Where two squares of side 2^level begin that cover a window together."""
    first, behind = bounds
    # An empty window may lie just behind the map; its value is not used.
    last = torch.maximum(behind - 2**level, torch.zeros_like(first))
    return torch.minimum(first, last), last


def _table(cells: Tensor, levels: int) -> Tensor:
    """(h, w, C) -> (levels^2 h w, C): maxima over 2^i x 2^j cells from each on, for all i, j."""
    by_rows = [cells]
    for k in range(levels - 1):
        by_rows.append(_with_neighbour(by_rows[-1], (0, 0, 0, 0, 0, 2**k), 0))
    rows = torch.stack(by_rows)
    by_columns = [rows]
    for k in range(levels - 1):
        by_columns.append(_with_neighbour(by_columns[-1], (0, 0, 0, 2**k), 2))
    return torch.stack(by_columns, dim=1).flatten(0, 3)


def _with_neighbour(values: Tensor, padding: tuple[int, ...], dim: int) -> Tensor:
    """The maximum of each value and the one padding[-1] further on along `dim`."""
    further = F.pad(values, padding, value=-math.inf)
    return torch.maximum(values, further.narrow(dim, padding[-1], values.shape[dim]))
