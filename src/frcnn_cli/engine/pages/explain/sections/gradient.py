"""The backward pass of RoI pooling, for the RoIs of a mini-batch (paper, section 2.3, eq. 4)."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from frcnn_cli.engine.pages.explain.sample import (
    draw_sample,
    missing_loss,
    sample_forward,
    sample_rois_of,
)
from frcnn_cli.engine.pages.explain.sections.rounding import rounded
from frcnn_cli.engine.pages.explain.subject import Subject
from frcnn_cli.engine.records import BACKGROUND
from frcnn_kernels import roi_pool_with_argmax

CHANNELS = 6  # of the map, whose sums the page can write out


def gradient_numbers(subject: Subject) -> dict[str, Any]:
    """Where the gradients of the sampled RoIs fall on the map.

    missing: why there is no loss; then the outputs have no gradients, only places. rois: the
    sample, its boxes in pixels of the image. counts: for each cell of the map, the outputs of all
    channels whose maximum it is. channels: those with the largest gradients. argmax: the cell of
    each output, RoI by RoI and bin by bin, -1 for an empty bin. gradient: of the loss by the
    output, in units of 10 to the power `unit`. windows: first and last row and column
    of the chosen RoIs, None for one outside the map.
    """
    model, missing = subject.model, missing_loss(subject)
    sample = draw_sample(subject)
    feature_map = subject.feature_map.detach().clone().requires_grad_()
    rois = sample_rois_of(subject, sample)
    pooled, argmax = roi_pool_with_argmax(feature_map, rois, model.pooled, 1.0 / model.stride)
    (counts,) = torch.autograd.grad(pooled.sum(), feature_map)
    if missing is None:
        forward = sample_forward(subject, sample, feature_map)
        (gradient,) = torch.autograd.grad(forward.losses.total, forward.pooled)
    else:
        gradient = torch.zeros_like(pooled)
    unit = _unit(gradient)
    strength = (pooled if missing else gradient).detach().abs().sum((0, 2, 3))
    channels = strength.argsort(descending=True)[:CHANNELS].sort().values.tolist()
    _, all_channels, height, width = feature_map.shape
    return {
        "missing": missing,
        "map": [height, width],
        "cell": model.stride / subject.scale,
        "pooled": list(model.pooled),
        "all_channels": all_channels,
        "outputs": pooled.numel(),
        "empty": int((argmax < 0).sum()),
        "counts": counts[0].sum(dim=0).int().tolist(),
        "rois": [
            {"box": rounded(box, 4), "label": _label(subject, label)}
            for box, label in zip(sample.boxes, sample.labels, strict=True)
        ],
        "unit": unit,
        "channels": [
            {
                "channel": channel,
                "argmax": argmax[:, channel].flatten(1).tolist(),
                "gradient": None if missing else _in_units(gradient[:, channel], unit),
            }
            for channel in channels
        ],
        "windows": [
            None if window is None else [[part[0], part[-1]] for part in window]
            for window in subject.chosen_windows()
        ],
    }


def _label(subject: Subject, label: int) -> str | None:
    """The class of a sampled RoI; None without ground truth."""
    if subject.truth is None:
        return None
    return "background" if label == BACKGROUND else subject.classes[label - 1]


def _unit(gradient: Tensor) -> int:
    """The power of ten in which the largest gradient has three digits before the point."""
    largest = float(gradient.abs().max()) if gradient.numel() else 0.0
    return math.floor(math.log10(largest)) - 2 if largest > 0 else 0


def _in_units(gradient: Tensor, unit: int) -> list[list[float]]:
    values: list[list[float]] = (
        (gradient.flatten(1).double() / 10.0**unit).numpy().round(2).tolist()
    )
    return values
