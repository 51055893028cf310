"""Fully connected layers in two parts (paper, section 3.1)."""

from __future__ import annotations

from torch import Tensor, nn


class LowRankLinear(nn.Module):
    """W (u x v) as U_t (Sigma_t V_t^T): first v -> t without bias, second t -> u with W's bias."""

    def __init__(self, inputs: int, outputs: int, rank: int) -> None:
        super().__init__()
        self.first = nn.Linear(inputs, rank, bias=False)
        self.second = nn.Linear(rank, outputs)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.second(self.first(x))
        return y


def linear(inputs: int, outputs: int, rank: int | None) -> nn.Module:
    """A fully connected layer, in two parts if a rank is given."""
    if rank is None:
        return nn.Linear(inputs, outputs)
    return LowRankLinear(inputs, outputs, rank)


def break_even_rank(inputs: int, outputs: int) -> int:
    """The largest rank t that saves parameters: t (u + v) < u v."""
    return (inputs * outputs - 1) // (inputs + outputs)
