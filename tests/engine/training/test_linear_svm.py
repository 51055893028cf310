"""The SVM compared with a solver of another kind, and with solutions by hand."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.optimize import minimize

from frcnn_cli.engine.settings import SvmSettings
from frcnn_cli.engine.training.svm.linear_svm import fit_linear_svm


def objective(weights: np.ndarray, bias: float, positives, negatives, s: SvmSettings) -> float:
    """The objective, written from the formula."""
    hinge = s.positive_weight * np.maximum(0, 1 - positives @ weights - bias).sum()
    hinge += np.maximum(0, 1 + negatives @ weights + bias).sum()
    return 0.5 * (weights @ weights + (bias / s.bias_feature) ** 2) + s.c * hinge


def dual_by_scipy(positives, negatives, s: SvmSettings) -> tuple[np.ndarray, float]:
    """The same SVM from its dual: with the bias as a feature, a box-constrained quadratic."""
    signs = np.repeat([1.0, -1.0], [len(positives), len(negatives)])
    x = np.concatenate([positives, negatives]).astype(np.float64)
    x = np.concatenate([x, np.full((len(x), 1), s.bias_feature)], axis=1) * signs[:, None]
    gram = x @ x.T
    most = np.where(signs > 0, s.c * s.positive_weight, s.c)
    found = minimize(
        lambda a: (0.5 * a @ gram @ a - a.sum(), gram @ a - 1),
        np.zeros(len(x)), jac=True, method="L-BFGS-B", bounds=[(0, m) for m in most],
        options={"maxiter": 10_000, "maxfun": 100_000, "ftol": 1e-15, "gtol": 1e-10},
    )  # fmt: skip
    solution = found.x @ x
    return solution[:-1], solution[-1] * s.bias_feature


@pytest.mark.parametrize("c", [1e-3, 0.1])
def test_it_agrees_with_another_solver(c: float) -> None:
    generator = np.random.default_rng(0)
    positives = generator.normal(1.0, 3.0, (40, 6)).astype(np.float32)
    negatives = generator.normal(-0.5, 3.0, (160, 6)).astype(np.float32)
    settings = SvmSettings(c=c, iterations=100_000)
    svm = fit_linear_svm(positives, negatives, settings)
    weights, bias = dual_by_scipy(positives, negatives, settings)
    best = objective(weights, bias, positives, negatives, settings)
    reached = objective(svm.weights, svm.bias, positives, negatives, settings)
    assert reached == pytest.approx(best, rel=1e-3)
    assert svm.weights == pytest.approx(weights, abs=0.02 * np.abs(weights).max())
    assert svm.bias == pytest.approx(bias, abs=0.02)


def test_two_points_by_hand() -> None:
    # x = 1 and x = -1 with a large weight on the hinges: w = 1 without bias meets both margins.
    one = np.array([[1.0]], np.float32)
    svm = fit_linear_svm(one, -one, SvmSettings(c=100.0))
    assert svm.weights == pytest.approx([1.0], abs=0.03)
    assert svm.bias == pytest.approx(0.0, abs=0.03)
    assert svm.margins(np.array([[3.0], [-0.5]], np.float32)) == pytest.approx([3, -0.5], abs=0.1)


def test_positive_weight_repeats_positives() -> None:
    generator = np.random.default_rng(1)
    positives = generator.normal(0.3, 1.0, (20, 3)).astype(np.float32)
    negatives = generator.normal(-0.3, 1.0, (60, 3)).astype(np.float32)
    weighted = fit_linear_svm(positives, negatives, SvmSettings(c=0.05, positive_weight=3.0))
    repeated = fit_linear_svm(
        np.repeat(positives, 3, 0), negatives, SvmSettings(c=0.05, positive_weight=1.0)
    )
    assert weighted.weights == pytest.approx(repeated.weights, abs=5e-3)


def test_few_objects_count_as_much_as_many() -> None:
    """A class with a third of the objects: as if each of them were there three times."""
    generator = np.random.default_rng(1)
    positives = generator.normal(0.3, 1.0, (20, 3)).astype(np.float32)
    negatives = generator.normal(-0.3, 1.0, (60, 3)).astype(np.float32)
    settings = SvmSettings(c=0.01, iterations=100_000)
    few = fit_linear_svm(positives, negatives, replace(settings, objects=60))
    repeated = fit_linear_svm(np.repeat(positives, 3, 0), negatives, settings)
    assert few.weights == pytest.approx(repeated.weights, abs=5e-3)
    assert few.bias == pytest.approx(repeated.bias, abs=5e-3)


def test_many_objects_keep_their_weight() -> None:
    settings = SvmSettings(objects=60)
    assert [settings.weight_of(count) for count in (15, 60, 600)] == [8, 2, 2]
    assert SvmSettings().weight_of(1) == 2


def test_without_positives_or_negatives_margins_are_constant() -> None:
    some, none = np.ones((2, 3), np.float32), np.zeros((0, 3), np.float32)
    assert fit_linear_svm(none, some, SvmSettings()).margins(some).tolist() == [-1, -1]
    assert fit_linear_svm(some, none, SvmSettings()).margins(some).tolist() == [1, 1]
