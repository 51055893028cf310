"""The paper's step (section 2.3): forward, loss, backward, update.

It takes sampled RoIs or, with image labels, all RoIs of some images.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch.nn.parallel import DistributedDataParallel

from frcnn_cli.engine.distributed.team import ALONE, Team
from frcnn_cli.engine.network.layers.dropout import RowDropout
from frcnn_cli.engine.network.losses import (
    BOTH,
    Losses,
    LossWeights,
    multi_task_loss,
    objectness_loss,
)
from frcnn_cli.engine.network.model import FastRCNN, Outputs, Refined
from frcnn_cli.engine.settings import WeakSettings
from frcnn_cli.engine.settings.training import CASCADE_IOU
from frcnn_cli.engine.training.cascade import refined_loss
from frcnn_cli.engine.training.minibatches import Minibatch
from frcnn_cli.engine.training.weak.losses import weak_loss
from frcnn_proposals.errors import InputError

_DEFAULT_WEAK = WeakSettings()
Network = FastRCNN | DistributedDataParallel


def train_step(
    network: Network,
    minibatch: Iterable[Minibatch],
    optimizer: torch.optim.Optimizer,
    rate: float,
    weights: LossWeights = BOTH,
    bfloat16: bool = False,
    team: Team = ALONE,
    cascade_iou: float = CASCADE_IOU,
    weak: WeakSettings = _DEFAULT_WEAK,
) -> Losses | None:
    """Forward, loss, backward, update: one mini-batch of RoIs, or of images with labels.

    minibatch: its shares, sampled one at a time. Their gradients are summed, so that memory
    holds only one share. network: the model, or its wrapper that averages gradients over the
    team. bfloat16: run the forward and backward passes in bfloat16; weights and loss stay
    float32. cascade_iou: minimum IoU of the second head's foreground with an object.
    weak: settings of OICR. Returns the losses, averaged over all units (see Minibatch)
    of all processes, or None without an update if there are no RoIs.
    Raises InputError, naming the images, if a loss is not finite.
    """
    optimizer.zero_grad(set_to_none=True)
    none = torch.zeros(len(Losses._fields))
    sums, units, planned = none.clone(), 0, 0
    for own_share in minibatch:
        share, share_units = _padded_as_in_team(own_share, team)
        if share_units == 0:
            continue
        planned = planned or share_units * max(1, share.shares // team.world)
        outputs = _forward(network, share, bfloat16)
        if share.image_labels is None:
            losses = _loss(network, outputs, share, weights, cascade_iou)
        else:
            losses = weak_loss(outputs.logits, share.rois, share.image_labels, weak)
        _check_finite(losses, share)
        # Gradients are averaged over the team; times its size, they are sums over all units.
        _backward(losses, share.units * team.world / planned)
        sums += share.units * torch.stack(losses).detach().cpu()
        units += share_units
    if units == 0:
        return None
    _update(optimizer, rate, planned / units)
    return Losses(*(sum(team.gather(sums), none) / units))


def _forward(network: Network, share: Minibatch, bfloat16: bool) -> Outputs:
    """Outputs of the network's parts for a share, in float32."""
    with torch.autocast(share.images.device.type, torch.bfloat16, bfloat16):
        dropout = RowDropout(share.rows, share.images.device) if share.rows else None
        outputs: Outputs = network(share.images, share.rois, dropout, share.candidates)
    refined, objectness = outputs.refined, outputs.objectness
    if refined is not None:
        refined = Refined(refined.rois, refined.logits.float(), refined.offsets.float())
    if objectness is not None:
        objectness = objectness.float()
    return Outputs(outputs.logits.float(), outputs.offsets.float(), refined, objectness)


def _loss(
    network: Network,
    outputs: Outputs,
    share: Minibatch,
    weights: LossWeights,
    cascade_iou: float,
) -> Losses:
    """The multi-task loss of all heads, and the ranker's in the total."""
    model = network if isinstance(network, FastRCNN) else network.module
    targets = model.normalise(share.targets, share.labels)
    losses = multi_task_loss(outputs.logits, outputs.offsets, share.labels, targets, weights)
    if outputs.refined is not None:
        second = refined_loss(model, outputs.refined, share, cascade_iou, weights)
        losses = Losses(*(a + b for a, b in zip(losses, second, strict=True)))
    if outputs.objectness is not None:
        ranking = objectness_loss(outputs.objectness, share.overlaps) / max(1, len(share.labels))
        losses = losses._replace(total=losses.total + weights.objectness * ranking)
    return losses


def _check_finite(losses: Losses, share: Minibatch) -> None:
    """Raise InputError, naming the images, if the loss is not finite."""
    if not math.isfinite(losses.total.item()):
        raise InputError(
            f"The loss is not finite for the images {', '.join(share.image_ids)}.\n"
            "Lower --learning-rate, or check their boxes with `frcnn data check`."
        )


def _backward(losses: Losses, weight: float) -> None:
    """Add the gradients of the total loss times `weight`, the share's fraction of the units."""
    (losses.total * weight).backward()  # type: ignore[no-untyped-call]


def _update(optimizer: torch.optim.Optimizer, rate: float, factor: float) -> None:
    """Take an optimizer step at the learning rate `rate`, with gradients times `factor`."""
    for group in optimizer.param_groups:
        group["lr"] = rate * group["rate_factor"]
        for parameter in group["params"]:
            if factor != 1 and parameter.grad is not None:
                parameter.grad *= factor
    optimizer.step()


def _padded_as_in_team(share: Minibatch, team: Team) -> tuple[Minibatch, int]:
    """The share with its images padded to the team's largest, and the units of all processes.

    So the padding around a pixel does not depend on how images are split over processes. If each
    image is a separate share, there is no padding. A process that could read none of its images
    takes part with an empty share.
    """
    if team.world == 1:
        return share, share.units
    own = (*share.images.shape[2:], share.units)
    heights, widths, units = zip(*team.gather(own), strict=True)
    images = share.images
    if len(images) == 0:
        images = images.new_zeros(1, 3, max(heights), max(widths))
    elif share.shares == 1:
        height, width = images.shape[2:]
        images = F.pad(images, (0, max(widths) - width, 0, max(heights) - height))
    images = images.contiguous(memory_format=torch.channels_last)
    return replace(share, images=images), sum(units)
