"""Fully connected layers as two thinner ones, by truncated SVD (paper, section 3.1)."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class LowRankLinear(nn.Module):
    """W (u x v) as U_t (Sigma_t V_t^T): first v -> t without a bias, then t -> u with W's."""

    def __init__(self, inputs: int, outputs: int, rank: int) -> None:
        super().__init__()
        self.first = nn.Linear(inputs, rank, bias=False)
        self.second = nn.Linear(rank, outputs)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.second(self.first(x))
        return y


def linear(inputs: int, outputs: int, rank: int | None) -> nn.Module:
    """A fully connected layer, in two parts where a rank is given."""
    if rank is None:
        return nn.Linear(inputs, outputs)
    return LowRankLinear(inputs, outputs, rank)


def break_even_rank(inputs: int, outputs: int) -> int:
    """The largest rank t that saves parameters: t (u + v) < u v."""
    return (inputs * outputs - 1) // (inputs + outputs)


def truncate(layer: nn.Linear, rank: int) -> tuple[LowRankLinear, float]:
    """The best approximation of a layer with a bias at `rank`, and the share of energy it keeps.

    Energy is the sum of squared singular values. The SVD is that of W's smaller Gram matrix
    in float64, exact to single precision and far cheaper than W's own.
    """
    weight = layer.weight.detach().double()
    outputs, inputs = weight.shape
    # W = U Sigma V^T: the left vectors come from W W^T, the right ones from W^T W.
    left = outputs <= inputs
    gram = weight @ weight.T if left else weight.T @ weight
    energies, vectors = torch.linalg.eigh(gram)
    energies, vectors = energies.flip(0).clamp(min=0), vectors.flip(1)[:, :rank]
    thin = LowRankLinear(inputs, outputs, rank)
    with torch.no_grad():
        if left:  # Sigma V^T = U^T W
            thin.first.weight.copy_(vectors.T @ weight)
            thin.second.weight.copy_(vectors)
        else:  # U Sigma = W V, kept in the second layer
            thin.first.weight.copy_(vectors.T)
            thin.second.weight.copy_(weight @ vectors)
        thin.second.bias.copy_(layer.bias)
    kept = float(energies[:rank].sum() / energies.sum().clamp(min=1e-300))
    return thin.to(layer.weight), kept
