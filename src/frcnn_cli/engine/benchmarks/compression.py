"""What truncated SVD gains a network, and how long the SVD itself takes beside NumPy's."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from frcnn_cli.engine.benchmarks.measuring import BenchmarkResult
from frcnn_cli.engine.compression.costs import Cost, measure_costs
from frcnn_cli.engine.compression.svd import decompose
from frcnn_cli.engine.network.backbones.base import Backbone
from frcnn_cli.engine.network.model import FastRCNN, create_model, with_ranks
from frcnn_cli.engine.reporter import SILENT, Reporter

# As many as VOC has: they decide how long the layers behind fc7 and suppression take.
_CLASSES = tuple(f"class {number}" for number in range(1, 21))


@dataclass(frozen=True)
class CompressionSpeed(BenchmarkResult):
    """One network as it is and with its layers in two parts."""

    before: Cost
    after: Cost

    @property
    def ratio(self) -> float:
        """How many times faster the whole network is."""
        return self.before.times.seconds / self.after.times.seconds

    @property
    def fully_connected_ratio(self) -> float:
        """How many times faster fc6 and fc7 together are."""
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

    What the weights are makes no difference to the time that they take.
    """
    whole = create_model(backbone, _CLASSES, "none").eval()
    thin = FastRCNN(with_ranks(whole.architecture, dict(ranks))).eval()
    thin = thin.to(memory_format=torch.channels_last)
    with reporter.progress("Timing, interleaved", 2 * (rounds + 1)) as advance:
        before, after = measure_costs((whole, thin), "float32", rounds, partial(advance, 1, ""))
    return CompressionSpeed(before, after)


@dataclass(frozen=True)
class SvdSpeed(BenchmarkResult):
    """Truncating one matrix, once each. error: of the truncated matrix (Frobenius norm);
    optimum: the smallest that any matrix of that rank has."""

    ours_s: float
    numpy_s: float
    error: float
    optimum: float

    @property
    def ratio(self) -> float:
        """How many times faster than numpy.linalg.svd."""
        return self.numpy_s / self.ours_s


def benchmark_svd(outputs: int, inputs: int, rank: int) -> SvdSpeed:
    """Truncate a random layer (outputs x inputs, float32) to `rank`, by ours and by NumPy's."""
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
    """Noise, and about `rank` directions that stand out from it more and more."""
    generator = torch.Generator().manual_seed(0)
    strengths = torch.linspace(2, 0, rank) / outputs**0.5
    left = torch.randn(outputs, rank, generator=generator) * strengths
    noise = torch.randn(outputs, inputs, generator=generator)
    weights: Tensor = noise + left @ torch.randn(rank, inputs, generator=generator)
    return weights.mul_(0.01)
