"""Losses of training from image labels, averaged over images.

WSDDN: H. Bilen and A. Vedaldi, CVPR 2016, section 3.3. OICR: P. Tang et al., CVPR 2017, section 3
and algorithm 1.

Shapes: N images, R RoIs (of one image below `weak_loss`), K classes. Labels of an image are 1 for
a class that is present, 0 for one that is absent, and -1 for one that has no loss.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from frcnn_cli.engine.boxes import iou_matrix
from frcnn_cli.engine.network.layers.weak_head import (
    WeakLogits,
    split_logits,
    voted_scores,
    wsddn_scores,
)
from frcnn_cli.engine.network.losses import Losses
from frcnn_cli.engine.settings import WeakSettings

# The largest score of a class of an image in the loss, whose gradient grows without bound at 1.
_LARGEST = 1 - 1e-6


def weak_loss(logits: Tensor, rois: Tensor, image_labels: Tensor, settings: WeakSettings) -> Losses:
    """WSDDN's loss as `classification`, and the sum of OICR's as `refinement`.

    logits: (R, 2 K + M (K + 1)), of a WeakHead. rois: (R, 5). image_labels: (N, K). settings: `iou`
    and `voting` of OICR. An image without RoIs has no loss and does not count.
    """
    zero = logits.sum() * 0.0  # keeps the graph
    image_losses, refinements = [], []
    for index, labels in enumerate(image_labels):
        rows = torch.nonzero(rois[:, 0] == index).squeeze(1)
        if len(rows) == 0:
            continue
        parts, boxes = split_logits(logits[rows], len(labels)), rois[rows, 1:]
        image_losses.append(image_loss(parts, labels))
        scores = wsddn_scores(parts).detach()
        if settings.voting:
            scores = voted_scores(scores, boxes)
        for refined in parts.refined:
            refinements.append(refinement_loss(refined, scores, boxes, labels, settings.iou))
            scores = F.softmax(refined, dim=1)[:, 1:].detach()
    count = max(1, len(image_losses))
    classification = sum(image_losses, zero) / count
    refinement = sum(refinements, zero) / count
    none = torch.zeros_like(zero.detach())
    return Losses(classification + refinement, classification.detach(), none, refinement.detach())


def image_loss(logits: WeakLogits, labels: Tensor) -> Tensor:
    """Binary cross-entropy between the image's scores and its labels (K,), summed over classes.

    The score of an image is the sum over RoIs of wsddn_scores. Its logarithm is computed from
    those of its factors, so that it is finite for a class of a very low score.
    """
    logarithm = torch.logsumexp(
        F.log_softmax(logits.recognition, dim=1) + F.log_softmax(logits.detection, dim=0), dim=0
    )
    absent = torch.log1p(-logarithm.exp().clamp(max=_LARGEST))
    return -(logarithm[labels == 1].sum() + absent[labels == 0].sum())


def refinement_loss(
    refined: Tensor, scores: Tensor, boxes: Tensor, labels: Tensor, iou: float
) -> Tensor:
    """The mean over RoIs of weight times cross-entropy with the label of `refined_targets`.

    refined: (R, K + 1), outputs of the classifier. The others are as in refined_targets.
    """
    targets, weights = refined_targets(scores, boxes, labels, iou)
    return (weights * F.cross_entropy(refined, targets, reduction="none")).mean()


@torch.no_grad()
def refined_targets(
    scores: Tensor, boxes: Tensor, labels: Tensor, iou: float
) -> tuple[Tensor, Tensor]:
    """Labels 0..K (R,) and weights (R,) of the RoIs for the next classifier (algorithm 1).

    Each present class supervises with its best RoI that no class before it has. A RoI belongs to
    the supervising RoI with which it has the highest IoU, and has its score as weight; it has its
    class if the IoU is greater than `iou`, and is background otherwise. Without a present class,
    all weights are 0.
    scores: (R, K), of the classifier before. boxes: (R, 4). labels: (K,), of the image.
    """
    present = torch.nonzero(labels == 1).squeeze(1)
    if len(present) == 0:
        return torch.zeros_like(boxes[:, 0], dtype=torch.int64), torch.zeros_like(scores[:, 0])
    best, weights = _supervising(scores[:, present])
    overlap, owner = iou_matrix(boxes, boxes[best]).max(dim=1)
    targets = torch.where(overlap > iou, present[owner] + 1, 0)
    return targets, weights[owner]


def _supervising(scores: Tensor) -> tuple[Tensor, Tensor]:
    """The RoI (P,) that supervises each present class, and its score (P,).

    As in the authors' implementation, a RoI supervises one class: if two classes shared it, the
    second would have no RoI at all, which is common before the classes differ. scores: (R, P).
    """
    left, best = scores.clone(), []
    for column in range(scores.shape[1]):
        best.append(left[:, column].argmax())
        left[best[-1], column + 1 :] = 0
    rows = torch.stack(best)
    return rows, left[rows, torch.arange(len(best), device=scores.device)]
