"""Proposals that the network cannot tell apart are computed once (paper, section 3)."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def distinct_windows(rois: Tensor, stride: int) -> tuple[Tensor, Tensor]:
    """One RoI for each window of the feature map, and for each RoI its window's index.

    RoI pooling rounds corners to cells, so RoIs with the same rounded corners pool the same.
    rois: (R, 5). stride: of the map. Returns (D, 5), in the order of the first RoI of each,
    and int64 (R,).
    """
    scaled = rois[:, 1:] * (1.0 / stride)
    cells = torch.floor(scaled + 0.5).where(scaled >= 0, torch.ceil(scaled - 0.5))
    keys = torch.cat([rois[:, :1], cells], dim=1).numpy()
    rows = np.ascontiguousarray(keys + 0.0).view(f"V{keys.itemsize * keys.shape[1]}")[:, 0]
    seen: dict[bytes, int] = {}
    of_window = [seen.setdefault(row, len(seen)) for row in rows.tolist()]
    index = np.array(of_window, np.int64)
    first = np.full(len(seen), -1)
    first[index[::-1]] = np.arange(len(rows))[::-1]  # the last write is the first RoI of each
    return rois[torch.from_numpy(first)], torch.from_numpy(index)
