"""The paper's step (section 2.3): sample, forward, loss, backward, update."""

from __future__ import annotations

import math
from collections.abc import Iterable

import torch

from frcnn_cli.engine.losses import BOTH, Losses, LossWeights, multi_task_loss
from frcnn_cli.engine.minibatches import Minibatch
from frcnn_cli.engine.model import FastRCNN
from frcnn_proposals.errors import InputError


def train_step(
    model: FastRCNN,
    minibatch: Iterable[Minibatch],
    optimizer: torch.optim.SGD,
    rate: float,
    weights: LossWeights = BOTH,
) -> Losses | None:
    """Sample, forward, loss, backward, update: one mini-batch of RoIs.

    minibatch: its shares, sampled as they are taken. Their gradients add up, so that memory
    holds one share at a time. Returns the losses, averaged over all RoIs; None, and no update,
    where there are no shares. Raises InputError, naming the images, where a loss is not finite.
    """
    optimizer.zero_grad(set_to_none=True)
    sums, rois, shares = torch.zeros(3), 0, 0
    for share in minibatch:
        outputs = model(share.images, share.rois)
        targets = model.normalise(share.targets, share.labels)
        losses = multi_task_loss(outputs.logits, outputs.offsets, share.labels, targets, weights)
        _refuse_non_finite(losses, share)
        (losses.total * len(share.labels)).backward()  # type: ignore[no-untyped-call]
        sums += len(share.labels) * torch.stack(losses).detach().cpu()
        rois, shares = rois + len(share.labels), shares + 1
    if shares == 0:
        return None
    for group in optimizer.param_groups:
        group["lr"] = rate * group["rate_factor"]
        for parameter in group["params"]:
            if parameter.grad is not None:
                parameter.grad /= max(1, rois)
    optimizer.step()
    return Losses(*(sums / max(1, rois)))


def _refuse_non_finite(losses: Losses, share: Minibatch) -> None:
    if not math.isfinite(losses.total.item()):
        raise InputError(
            f"The loss is not finite for the images {', '.join(share.image_ids)}.\n"
            "Lower --learning-rate, or look at their boxes with `frcnn data check`."
        )
