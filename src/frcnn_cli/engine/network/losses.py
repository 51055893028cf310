"""The multi-task loss (paper, section 2.3, equations 1 to 3).

Shapes: R RoIs, K classes. Label 0 is the background, 1..K the classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor


class Losses(NamedTuple):
    """Scalars, each averaged over RoIs, or over images if they are trained from image labels.

    total: the weighted sum of the others. refinement: of OICR.
    """

    total: Tensor
    classification: Tensor
    box_regression: Tensor
    refinement: Tensor


class RoiLosses(NamedTuple):
    """The terms of each RoI.

    classification: (R,), -log p_u. foreground: (F,), indices of the RoIs with a class.
    coordinates: (F, 4), smooth L1 of the offsets of these RoIs for x, y, w, h.
    """

    classification: Tensor
    foreground: Tensor
    coordinates: Tensor


@dataclass(frozen=True)
class LossWeights:
    """Weight of each term in the sum; box_regression is the paper's lambda.

    objectness: weight of a RoI of the ranker relative to a RoI of the heads.
    """

    classification: float = 1.0
    box_regression: float = 1.0
    objectness: float = 0.0


BOTH = LossWeights()


def smooth_l1(x: Tensor) -> Tensor:
    """0.5 x^2 where |x| < 1, |x| - 0.5 elsewhere (equation 3)."""
    size = x.abs()
    return torch.where(size < 1, 0.5 * x * x, size - 0.5)


def multi_task_loss(
    logits: Tensor,
    offsets: Tensor,
    labels: Tensor,
    targets: Tensor,
    weights: LossWeights = BOTH,
) -> Losses:
    """L = -log p_u + lambda [u >= 1] sum over x, y, w, h of smooth_l1(t^u - v).

    The first term is weighted too, so that a stage can train only the boxes (section 5.1).
    logits: (R, K + 1). offsets: (R, 4 K), normalised. labels: int64 (R,), 0..K.
    targets: (R, 4), normalised; rows of background RoIs are ignored.
    """
    if len(labels) == 0:
        zero = logits.sum() * 0.0 + offsets.sum() * 0.0  # keeps the graph
        return Losses(zero, *[zero.detach()] * 3)
    of_rois = roi_losses(logits, offsets, labels, targets)
    classification = of_rois.classification.mean()
    box_regression = of_rois.coordinates.sum() / len(labels)
    total = weights.classification * classification + weights.box_regression * box_regression
    none = torch.zeros_like(total.detach())
    return Losses(total, classification.detach(), box_regression.detach(), none)


def roi_losses(logits: Tensor, offsets: Tensor, labels: Tensor, targets: Tensor) -> RoiLosses:
    """Both terms of each RoI, before they are weighted and averaged (see multi_task_loss)."""
    foreground = torch.nonzero(labels).squeeze(1)
    selected = offsets.reshape(len(labels), -1, 4)[foreground, labels[foreground] - 1]
    coordinates = smooth_l1(selected - targets[foreground])
    return RoiLosses(F.cross_entropy(logits, labels, reduction="none"), foreground, coordinates)


def objectness_loss(logits: Tensor, overlaps: Tensor) -> Tensor:
    """Sum over RoIs of the binary cross-entropy between a ranker's output and the IoU.

    logits: (M,). overlaps: (M,), the highest IoU of each RoI with an object, 0..1.
    """
    return F.binary_cross_entropy_with_logits(logits, overlaps, reduction="sum")
