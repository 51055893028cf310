"""The paper's step (section 2.3): sample, forward, loss, backward, update."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch.nn.parallel import DistributedDataParallel

from frcnn_cli.engine.distributed.team import ALONE, Team
from frcnn_cli.engine.network.layers.dropout import RowDropout
from frcnn_cli.engine.network.losses import BOTH, Losses, LossWeights, multi_task_loss
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.training.minibatches import Minibatch
from frcnn_proposals.errors import InputError


def train_step(
    network: FastRCNN | DistributedDataParallel,
    minibatch: Iterable[Minibatch],
    optimizer: torch.optim.Optimizer,
    rate: float,
    weights: LossWeights = BOTH,
    bfloat16: bool = False,
    team: Team = ALONE,
) -> Losses | None:
    """Sample, forward, loss, backward, update: one mini-batch of RoIs.

    minibatch: its shares, sampled as they are taken. Their gradients add up, so that memory
    holds one share at a time. network: the model, or what averages its gradients over the
    team. bfloat16: the arithmetic of forward and backward; weights and loss stay float32.
    Returns the losses, averaged over all RoIs of all processes; None, and no update, where
    there are no RoIs. Raises InputError, naming the images, where a loss is not finite.
    """
    model = network if isinstance(network, FastRCNN) else network.module
    optimizer.zero_grad(set_to_none=True)
    sums, rois, planned = torch.zeros(3), 0, 0
    for share in minibatch:
        share, together = _fitted(share, team)
        if together == 0:
            continue
        planned = planned or together * max(1, share.shares // team.world)
        with torch.autocast(share.images.device.type, torch.bfloat16, bfloat16):
            drop = RowDropout(share.rows, share.images.device) if share.rows else None
            outputs = network(share.images, share.rois, drop)
        logits, offsets = (each.float() for each in outputs)
        targets = model.normalise(share.targets, share.labels)
        losses = multi_task_loss(logits, offsets, share.labels, targets, weights)
        _refuse_non_finite(losses, share)
        # Gradients are averaged over the team: times its size they add up over all RoIs.
        part = len(share.labels) * team.world / planned
        (losses.total * part).backward()  # type: ignore[no-untyped-call]
        sums += len(share.labels) * torch.stack(losses).detach().cpu()
        rois += together
    if rois == 0:
        return None
    for group in optimizer.param_groups:
        group["lr"] = rate * group["rate_factor"]
    if rois != planned:
        _scale_gradients(optimizer, planned / rois)
    optimizer.step()
    return Losses(*(sum(team.gather(sums), torch.zeros(3)) / rois))


def _fitted(share: Minibatch, team: Team) -> tuple[Minibatch, int]:
    """The share with images as large as the other processes' are, and the RoIs of all.

    So a pixel has the same padding around it however the images are split; where each image is
    a share of its own, it has none. A process that could read none of its images joins in with
    an empty one.
    """
    if team.world == 1:
        return share, len(share.labels)
    own = (*share.images.shape[2:], len(share.labels))
    heights, widths, rois = zip(*team.gather(own), strict=True)
    images = share.images
    if len(images) == 0:
        images = images.new_zeros(1, 3, max(heights), max(widths))
    elif share.shares == 1:
        height, width = images.shape[2:]
        images = F.pad(images, (0, max(widths) - width, 0, max(heights) - height))
    images = images.contiguous(memory_format=torch.channels_last)
    return replace(share, images=images), sum(rois)


def _scale_gradients(optimizer: torch.optim.Optimizer, factor: float) -> None:
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if parameter.grad is not None:
                parameter.grad *= factor


def _refuse_non_finite(losses: Losses, share: Minibatch) -> None:
    if not math.isfinite(losses.total.item()):
        raise InputError(
            f"The loss is not finite for the images {', '.join(share.image_ids)}.\n"
            "Lower --learning-rate, or look at their boxes with `frcnn data check`."
        )
