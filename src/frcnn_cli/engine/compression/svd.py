"""The SVD of a fully connected layer: the parts that its truncation needs.

Shapes: a layer's weight W is u x v (outputs x inputs), W = U Sigma V^T.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from frcnn_cli.engine.network.layers.low_rank import LowRankLinear, break_even_rank

FullyConnected = nn.Linear | LowRankLinear
_ROWS, _COLUMNS = 512, 4096  # block size for the sums of a Gram matrix


@dataclass(frozen=True)
class Decomposition:
    """Squared singular values of W, and its left or right singular vectors.

    energies: float64 (t,), squared singular values in descending order. vectors: float64, the left
    vectors U (u, t) if `left`, otherwise the right vectors V (v, t).
    """

    layer: FullyConnected
    energies: NDArray[np.float64]
    vectors: Tensor
    left: bool

    @property
    def inputs(self) -> int:
        return self._factors[-1].shape[1]

    @property
    def outputs(self) -> int:
        return self._factors[0].shape[0]

    @property
    def largest_rank(self) -> int:
        """The largest rank that would make the current layer smaller; 0 if none would."""
        if isinstance(self.layer, LowRankLinear):
            return self.rank - 1
        return break_even_rank(self.inputs, self.outputs)

    @property
    def rank(self) -> int:
        """Upper bound of the rank of the current layer."""
        return len(self.energies)

    @property
    def multiply_adds(self) -> int:
        """Multiply-adds of the current layer per RoI; also its number of weights."""
        return sum(factor.numel() for factor in self._factors)

    @cached_property
    def energy_kept(self) -> NDArray[np.float64]:
        """(t,): the share of the current layer's energy that ranks 1..t keep."""
        total = self.energies.sum()
        if total == 0:
            return np.ones_like(self.energies)
        shares: NDArray[np.float64] = np.minimum(np.cumsum(self.energies) / total, 1.0)
        return shares

    def truncate(self, rank: int) -> LowRankLinear:
        """The closest layer of the given rank, with the same bias."""
        weight = self._factors[0]
        vectors = self.vectors[:, :rank].to(weight)
        thin = LowRankLinear(self.inputs, self.outputs, rank).to(weight)
        with torch.no_grad():
            if self.left:  # Sigma V^T = U^T W
                thin.first.weight.copy_(torch.linalg.multi_dot([vectors.T, *self._factors]))
                thin.second.weight.copy_(vectors)
            else:  # U Sigma = W V is stored in the second layer
                thin.first.weight.copy_(vectors.T)
                thin.second.weight.copy_(torch.linalg.multi_dot([*self._factors, vectors]))
            last = self.layer.second if isinstance(self.layer, LowRankLinear) else self.layer
            thin.second.bias.copy_(last.bias)
        return thin

    @property
    def _factors(self) -> tuple[Tensor, ...]:
        """Matrices whose product is W."""
        if isinstance(self.layer, LowRankLinear):
            return self.layer.second.weight.detach(), self.layer.first.weight.detach()
        return (self.layer.weight.detach(),)


def decompose(layer: FullyConnected) -> Decomposition:
    """The SVD of a fully connected layer with a bias, or of a layer in two parts.

    For a single layer, it comes from the eigenvectors of the smaller of W W^T and W^T W in float64.
    They are exact to single precision (an error of 1e-16 in a squared singular value is an error of
    1e-8 in the singular value, relative to the largest) and far cheaper than the SVD of W. For a
    product B A of rank t, it comes from the t x t core between the orthogonal parts of B and A; W
    is never formed.
    """
    if isinstance(layer, LowRankLinear):
        return _decompose_product(layer)
    weight = layer.weight.detach()
    left = weight.shape[0] <= weight.shape[1]
    energies, vectors = torch.linalg.eigh(gram_matrix(weight if left else weight.T))
    descending = energies.flip(0).clamp(min=0)
    return Decomposition(layer, descending.cpu().numpy(), vectors.flip(1), left)


def gram_matrix(weight: Tensor) -> Tensor:
    """W W^T of a float32 matrix in float64, without a float64 copy of the whole matrix.

    Only the blocks on and below the diagonal are computed.
    """
    size = weight.shape[0]
    gram = torch.zeros(size, size, dtype=torch.float64, device=weight.device)
    for column in range(0, weight.shape[1], _COLUMNS):
        part = weight[:, column : column + _COLUMNS].double()
        for start in range(0, size, _ROWS):
            rows = slice(start, start + _ROWS)
            gram[rows, : start + _ROWS].addmm_(part[rows], part[: start + _ROWS].T)
    lower = gram.tril()
    return lower + lower.tril(-1).T


def _decompose_product(layer: LowRankLinear) -> Decomposition:
    outer, outer_core = torch.linalg.qr(layer.second.weight.detach().double())
    _, inner_core = torch.linalg.qr(layer.first.weight.detach().double().T, mode="r")
    left, values, _ = torch.linalg.svd(outer_core @ inner_core.T)
    rank = len(values)
    return Decomposition(layer, values.square().cpu().numpy(), outer @ left[:, :rank], left=True)
