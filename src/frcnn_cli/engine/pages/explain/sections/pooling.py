"""RoI pooling: the window of a RoI, its bins, and the maximum of each (paper, section 2.1)."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from frcnn_cli.engine.pages.explain.sections.rounding import rounded
from frcnn_cli.engine.pages.explain.subject import Subject
from frcnn_kernels import roi_pool_with_argmax
from frcnn_kernels.reference import roi_window, sub_windows

CHANNELS = 8  # shown, of all channels of the map


def pooling_numbers(subject: Subject) -> dict[str, Any]:
    """Eight channels of the map, and the windows, bins and maxima of the chosen RoIs on them.

    windows: first row, first column, height and width (r, c, h, w) in cells. rows, columns: first
    cell of each bin and the one after its last, on the map. cells: for each RoI and channel, the
    cells y * w + x of the maxima of all bins, row by row; -1 for an empty bin, whose result is 0.
    """
    model, features = subject.model, subject.feature_map
    _, _, height, width = features.shape
    channels = _most_varied(features)
    shown = features[:, channels]
    _, cells = roi_pool_with_argmax(shown, subject.chosen_rois, model.pooled, 1 / model.stride)
    windows, rows, columns = [], [], []
    for _, x1, y1, x2, y2 in subject.chosen_rois.tolist():
        top, window_height = roi_window(y1, y2, 1 / model.stride)
        left, window_width = roi_window(x1, x2, 1 / model.stride)
        windows.append([top, left, window_height, window_width])
        rows.append(sub_windows(top, window_height, model.pooled[0], height))
        columns.append(sub_windows(left, window_width, model.pooled[1], width))
    return {
        "stride": model.stride,
        "map": [height, width],
        "pooled": list(model.pooled),
        "all_channels": features.shape[1],
        "channels": channels.tolist(),
        "values": rounded(shown[0].flatten(1)),
        "rois": rounded(subject.chosen_rois[:, 1:], 5),
        "windows": windows,
        "rows": rows,
        "columns": columns,
        "cells": cells.flatten(2).tolist(),
    }


def _most_varied(features: Tensor) -> Tensor:
    """The channels that vary most over the map, in ascending order."""
    deviations = features[0].flatten(1).std(dim=1)
    return deviations.topk(min(CHANNELS, len(deviations))).indices.sort().values
