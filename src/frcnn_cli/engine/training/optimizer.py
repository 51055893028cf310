"""The optimizer, and the exponential moving average of the weights (Polyak and Juditsky, 1992).

The average is part of the optimizer's state, and so of every checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from frcnn_cli.engine.network.backbones.find import find_backbone
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.settings import Schedule

_AVERAGE = "average"
# With SGD, OICR's refined classifiers learn faster, as in the authors' implementation: at first,
# their weighted losses are small. The steps of AdamW do not depend on the size of the loss.
_REFINED_RATE = 10.0


def make_optimizer(model: FastRCNN, schedule: Schedule) -> Optimizer:
    """The schedule's optimizer.

    Biases learn twice as fast and do not decay, as in the first implementation. Feature layers
    with ImageNet weights learn at the backbone's own rate, and with SGD, OICR's refined classifiers
    at _REFINED_RATE.
    """
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            is_bias = name.endswith("bias")
            rate = _rate_factor(model, name, schedule) * (2.0 if is_bias else 1.0)
            decay = 0.0 if is_bias else schedule.weight_decay
            groups.setdefault((rate, decay), []).append(parameter)
    grouped = [
        {"params": parameters, "rate_factor": rate, "weight_decay": decay}
        for (rate, decay), parameters in groups.items()
    ]
    # Fused: one pass over memory for gradient, momentum, decay and update.
    rate, momentum = schedule.learning_rate, schedule.momentum
    if schedule.optimizer == "adamw":
        return torch.optim.AdamW(grouped, lr=rate, betas=(momentum, 0.999), fused=True)
    return torch.optim.SGD(grouped, lr=rate, momentum=momentum, fused=True)


def _rate_factor(model: FastRCNN, name: str, schedule: Schedule) -> float:
    if name.startswith("weak.refined."):
        return _REFINED_RATE if schedule.optimizer == "sgd" else 1.0
    backbone = find_backbone(model.architecture.backbone)
    layer = name.removeprefix("features.")
    is_new = layer == name or layer.startswith(backbone.new_layers)
    if is_new or not model.architecture.pretrained:
        return 1.0
    return backbone.pretrained_rate


@torch.no_grad()
def update_average(optimizer: Optimizer, decay: float, iteration: int) -> None:
    """Add the weights after `iteration`, counted from 0, to their average.

    The average keeps the fraction `decay` of itself, and less in the first iterations, so that
    the initial weights do not stay in it.
    """
    kept = min(decay, (1 + iteration) / (10 + iteration))
    averages: list[Tensor] = []
    weights: list[Tensor] = []
    for parameter in _trained(optimizer):
        state = optimizer.state[parameter]
        if _AVERAGE not in state:
            state[_AVERAGE] = parameter.detach().clone()
        averages.append(state[_AVERAGE])
        weights.append(parameter.detach())
    torch._foreach_lerp_(averages, weights, 1 - kept)


@contextmanager
def averaged(optimizer: Optimizer) -> Iterator[None]:
    """Use the averages as the model's weights inside the block, if there are any."""
    _exchange(optimizer)
    try:
        yield
    finally:
        _exchange(optimizer)


@torch.no_grad()
def _exchange(optimizer: Optimizer) -> None:
    for parameter in _trained(optimizer):
        average = optimizer.state[parameter].get(_AVERAGE)
        if average is not None:
            weights = parameter.detach().clone()
            parameter.copy_(average)
            average.copy_(weights)


def _trained(optimizer: Optimizer) -> Iterator[torch.nn.Parameter]:
    """The parameters that have been updated at least once."""
    for group in optimizer.param_groups:
        yield from (each for each in group["params"] if optimizer.state.get(each))
