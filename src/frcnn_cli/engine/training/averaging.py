"""An exponential moving average of the weights (Polyak and Juditsky, 1992).

It is part of the optimizer's state, and so of every checkpoint.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor
from torch.optim import Optimizer

_AVERAGE = "average"


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
