"""The multi-task loss (paper, section 2.3, equations 1 to 3).

Shapes: R RoIs, K classes. Label 0 is the background, 1..K the classes.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Losses(NamedTuple):
    """Scalars, each averaged over the RoIs of the mini-batch."""

    total: Tensor
    classification: Tensor
    box_regression: Tensor


def smooth_l1(x: Tensor) -> Tensor:
    """0.5 x^2 where |x| < 1, |x| - 0.5 elsewhere (equation 3)."""
    size = x.abs()
    return torch.where(size < 1, 0.5 * x * x, size - 0.5)


def multi_task_loss(
    logits: Tensor, offsets: Tensor, labels: Tensor, targets: Tensor, box_weight: float = 1.0
) -> Losses:
    """L = -log p_u + box_weight [u >= 1] sum over x, y, w, h of smooth_l1(t^u - v).

    logits: (R, K + 1). offsets: (R, 4 K), normalised. labels: int64 (R,), 0..K.
    targets: (R, 4), normalised; rows of background RoIs are not read.
    """
    if len(labels) == 0:
        nothing = logits.sum() * 0.0 + offsets.sum() * 0.0
        return Losses(nothing, nothing.detach(), nothing.detach())
    classification = F.cross_entropy(logits, labels)
    foreground = torch.nonzero(labels).squeeze(1)
    of_label = offsets.reshape(len(labels), -1, 4)[foreground, labels[foreground] - 1]
    box_regression = smooth_l1(of_label - targets[foreground]).sum() / len(labels)
    total = classification + box_weight * box_regression
    return Losses(total, classification.detach(), box_regression.detach())
