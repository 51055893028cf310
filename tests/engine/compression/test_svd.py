"""Decompositions of layers, compared with NumPy's."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from frcnn_cli.engine.benchmarks.compression import benchmark_svd
from frcnn_cli.engine.compression.svd import decompose, gram_matrix
from frcnn_cli.engine.network.layers.low_rank import LowRankLinear


def layer_of(weight: Tensor) -> nn.Linear:
    layer = nn.Linear(weight.shape[1], weight.shape[0])
    with torch.no_grad():
        layer.weight.copy_(weight)
    return layer


def product(thin: LowRankLinear) -> NDArray[np.float64]:
    return (thin.second.weight.double() @ thin.first.weight.double()).detach().numpy()


def best(weight: NDArray[np.float64], rank: int) -> NDArray[np.float64]:
    left, values, right = np.linalg.svd(weight, full_matrices=False)
    nearest: NDArray[np.float64] = (left[:, :rank] * values[:rank]) @ right[:rank]
    return nearest


def test_a_decomposition_worked_by_hand() -> None:
    # diag(3, 2) and a zero column: energies 9 and 4; rank 1 keeps the 3.
    decomposition = decompose(layer_of(torch.tensor([[3.0, 0, 0], [0, 2, 0]])))
    assert decomposition.energies == pytest.approx([9, 4])
    assert decomposition.energy_kept == pytest.approx([9 / 13, 1])
    assert product(decomposition.truncate(1)) == pytest.approx(np.array([[3, 0, 0], [0, 0, 0]]))


@pytest.mark.parametrize("shape", [(40, 90), (90, 40)])
def test_truncation_is_the_best_approximation(shape: tuple[int, int]) -> None:
    torch.manual_seed(0)
    layer = nn.Linear(shape[1], shape[0])
    decomposition = decompose(layer)
    weight = layer.weight.detach().double().numpy()
    values = np.linalg.svd(weight)[1]
    assert np.abs(product(decomposition.truncate(7)) - best(weight, 7)).max() < 1e-5
    assert decomposition.energy_kept[6] == pytest.approx(
        (values[:7] ** 2).sum() / (values**2).sum()
    )


def test_at_full_rank_the_layer_computes_the_same() -> None:
    layer = nn.Linear(12, 9)
    decomposition = decompose(layer)
    thin = decomposition.truncate(9)
    x = torch.randn(5, 12)
    assert torch.allclose(thin(x), layer(x), atol=1e-5)
    assert decomposition.energy_kept[8] == pytest.approx(1.0)
    assert thin.first.bias is None


def test_small_singular_values_next_to_a_large_one_are_exact() -> None:
    # A float32 Gram matrix would lose 1e-4 next to 1: its square is below the rounding error.
    torch.manual_seed(0)
    left = torch.linalg.qr(torch.randn(30, 30))[0]
    right = torch.linalg.qr(torch.randn(50, 30))[0]
    values = torch.logspace(0, -5, 30)
    weight = (left * values) @ right.T
    found = np.sqrt(decompose(layer_of(weight)).energies)
    exact = np.linalg.svd(weight.double().numpy())[1]
    assert found == pytest.approx(exact, rel=1e-3)


def test_a_gram_matrix_is_summed_from_blocks() -> None:
    torch.manual_seed(0)
    weight = torch.randn(700, 5000)  # more than one block in both dimensions
    exact = weight.double() @ weight.double().T
    assert torch.allclose(gram_matrix(weight), exact, rtol=1e-12, atol=1e-9)


@pytest.mark.parametrize(("outputs", "inputs"), [(20, 30), (30, 20)])
def test_a_layer_in_two_parts_is_decomposed_like_their_product(outputs: int, inputs: int) -> None:
    torch.manual_seed(0)
    thin = LowRankLinear(inputs, outputs, 8)
    weight = product(thin)
    decomposition = decompose(thin)
    values = np.linalg.svd(weight)[1]
    assert np.sqrt(decomposition.energies) == pytest.approx(values[:8], rel=1e-5)
    truncated = decomposition.truncate(3)
    assert np.abs(product(truncated) - best(weight, 3)).max() < 1e-6
    assert torch.equal(truncated.second.bias, thin.second.bias)


def test_a_layer_of_zeros_can_be_truncated() -> None:
    decomposition = decompose(layer_of(torch.zeros(4, 6)))
    assert decomposition.energy_kept == pytest.approx([1, 1, 1, 1])
    assert np.abs(product(decomposition.truncate(2))).max() == 0


def test_largest_rank_of_a_layer_and_of_a_product() -> None:
    # 24 x 16: t * 40 < 384 up to 9. A product of rank 8 is smaller at 7.
    assert decompose(nn.Linear(24, 16)).largest_rank == 9
    assert decompose(LowRankLinear(24, 16, 8)).largest_rank == 7


@pytest.mark.long
def test_vgg16s_fc6_is_truncated_three_times_faster_than_by_numpy() -> None:
    speed = benchmark_svd(4096, 25088, 1024)
    assert speed.ratio >= 3
    assert speed.error <= 1.001 * speed.optimum


def test_the_benchmark_of_the_svd_measures_the_error() -> None:
    speed = benchmark_svd(30, 50, 5)
    assert speed.optimum <= speed.error * (1 + 1e-5)
    assert speed.error <= 1.001 * speed.optimum
