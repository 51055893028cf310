"""Training of the second head: the boxes of the first, matched to the objects again.

Z. Cai and N. Vasconcelos, Cascade R-CNN (CVPR 2018): a head that starts from better boxes can be
trained at a higher IoU, and then predicts better boxes.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from frcnn_cli.engine.boxes import BoxCoding, encode_boxes, iou_matrix
from frcnn_cli.engine.network.layers.box_head import BoxHead
from frcnn_cli.engine.network.losses import Losses, LossWeights, multi_task_loss
from frcnn_cli.engine.network.model import FastRCNN, Refined
from frcnn_cli.engine.training.minibatches import Minibatch

# The corrections that remain are small, and only these RoIs learn them: their loss counts double.
BOX_WEIGHT = 2.0
# Standard deviations of the offsets that remain after the first head. They cannot be measured
# before training, as those of the first head can; the values are those of Cascade R-CNN.
_DEVIATIONS = (0.05, 0.05, 0.1, 0.1)


@torch.no_grad()
def set_refined_statistics(second: BoxHead) -> None:
    """Set the target statistics of the second head, which are the same for all classes."""
    second.offset_means.zero_()
    second.offset_deviations.copy_(second.offset_deviations.new_tensor(_DEVIATIONS))


def refined_loss(
    model: FastRCNN,
    refined: Refined,
    share: Minibatch,
    foreground_iou: float,
    weights: LossWeights,
) -> Losses:
    """The second head's multi-task loss, averaged over all RoIs of the share.

    RoIs on a difficult or crowd object count as RoIs without loss, so that the loss of a
    mini-batch does not depend on its division into shares.
    """
    assert model.second is not None
    labels, targets = refined_targets(
        refined.rois, share, foreground_iou, model.architecture.box_coding
    )
    used = torch.nonzero(labels >= 0).squeeze(1)
    targets = model.second.normalise(targets, labels)[used]
    weights = replace(weights, box_regression=BOX_WEIGHT * weights.box_regression)
    losses = multi_task_loss(
        refined.logits[used], refined.offsets[used], labels[used], targets, weights
    )
    return Losses(*(loss * (len(used) / max(1, len(labels))) for loss in losses))


def refined_targets(
    rois: Tensor, share: Minibatch, foreground_iou: float, coding: BoxCoding
) -> tuple[Tensor, Tensor]:
    """Labels (R,) and target offsets (R, 4), not normalised, of RoIs (R, 5) in input pixels.

    A RoI has the class of the object with the highest IoU if that is at least foreground_iou.
    Otherwise it is background, 0, or -1 if its IoU with a difficult or crowd object is at least
    foreground_iou. Offsets of other RoIs than foreground are meaningless.
    """
    if len(share.truth) == 0:
        return torch.zeros_like(rois[:, 0], dtype=torch.int64), torch.zeros_like(rois[:, 1:])
    overlaps = iou_matrix(rois[:, 1:], share.truth[:, 1:])
    overlaps = overlaps * (rois[:, :1] == share.truth[:, 0])
    trains = share.truth_labels > 0
    best, index = (overlaps * trains).max(dim=1)
    ignored = (overlaps * ~trains).amax(dim=1) >= foreground_iou
    background = torch.where(ignored, -1, 0)
    labels = torch.where(best >= foreground_iou, share.truth_labels[index], background)
    return labels, encode_boxes(rois[:, 1:], share.truth[index, 1:], coding)
