"""Speed-up of a network by truncated SVD, and time of the SVD itself against NumPy's."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from frcnn_cli.engine.benchmarks.measuring import BenchmarkResult
from frcnn_cli.engine.compression.costs import Cost, report_costs
from frcnn_cli.engine.compression.svd import decompose
from frcnn_cli.engine.network.backbones.base import Backbone
from frcnn_cli.engine.network.creation import create_model, with_ranks
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.reporter import SILENT, Reporter

# As many as VOC has: the time of the layers after fc7 and of suppression depends on them.
_CLASSES = tuple(f"class {number}" for number in range(1, 21))


@dataclass(frozen=True)
class CompressionSpeed(BenchmarkResult):
    """Costs of one network before and after compression."""

    before: Cost
    after: Cost

    @property
    def ratio(self) -> float:
        """Time of the whole network before over its time after."""
        return self.before.times.seconds / self.after.times.seconds

    @property
    def fully_connected_ratio(self) -> float:
        """Time of fc6 and fc7 together before over their time after."""
        return self.before.times.fully_connected / self.after.times.fully_connected

    def to_json(self) -> dict[str, Any]:
        """As JSON values: before, after, ratio, fully_connected_ratio."""
        costs = {"before": self.before.to_json(), "after": self.after.to_json()}
        return {**super().to_json(), **costs}


def benchmark_compression(
    backbone: Backbone,
    ranks: Mapping[str, int],
    rounds: int = 5,
    reporter: Reporter = SILENT,
) -> CompressionSpeed:
    """Time a network with random weights, uncompressed and at these ranks, interleaved.

    The time does not depend on the values of the weights.
    """
    uncompressed = create_model(backbone, _CLASSES, "none").eval()
    thin = FastRCNN(with_ranks(uncompressed.architecture, dict(ranks))).eval()
    thin = thin.to(memory_format=torch.channels_last)
    before, after = report_costs((uncompressed, thin), "float32", reporter, rounds)
    return CompressionSpeed(before, after)


@dataclass(frozen=True)
class SvdSpeed(BenchmarkResult):
    """Time of truncating one matrix, one run each.

    error: of our truncated matrix (Frobenius norm). optimum: the smallest error of any matrix of
    that rank.
    """

    ours_s: float
    numpy_s: float
    error: float
    optimum: float

    @property
    def ratio(self) -> float:
        """Time of numpy.linalg.svd over ours."""
        return self.numpy_s / self.ours_s


def benchmark_svd(outputs: int, inputs: int, rank: int) -> SvdSpeed:
    """Truncate a random layer (outputs x inputs, float32) to `rank` by our SVD and by NumPy's."""
    layer = nn.Linear(inputs, outputs)
    with torch.no_grad():
        layer.weight.copy_(_random_weights(outputs, inputs, rank))
    start = time.perf_counter()
    thin = decompose(layer).truncate(rank)
    ours_s = time.perf_counter() - start
    weight = layer.weight.detach()
    product = thin.second.weight.detach() @ thin.first.weight.detach()
    error = float(torch.linalg.matrix_norm((weight - product).double()))
    del thin, product
    start = time.perf_counter()
    values = np.linalg.svd(weight.numpy(), full_matrices=False)[1]
    numpy_s = time.perf_counter() - start
    optimum = float(np.sqrt(np.square(values[rank:], dtype=np.float64).sum()))
    return SvdSpeed(ours_s, numpy_s, error, optimum)


def _random_weights(outputs: int, inputs: int, rank: int) -> Tensor:
    """Noise plus `rank` directions of decreasing strength."""
    generator = torch.Generator().manual_seed(0)
    strengths = torch.linspace(2, 0, rank) / outputs**0.5
    left = torch.randn(outputs, rank, generator=generator) * strengths
    noise = torch.randn(outputs, inputs, generator=generator)
    weights: Tensor = noise + left @ torch.randn(rank, inputs, generator=generator)
    return weights.mul_(0.01)
