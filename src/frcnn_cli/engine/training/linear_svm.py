"""A linear SVM, fitted by LIBLINEAR (which is what R-CNN used too)."""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from frcnn_cli.engine.settings import SvmSettings

_TOLERANCE = 1e-3


@dataclass(frozen=True)
class LinearSvm:
    """weights: (D,). bias: a number. The margin of features x is weights . x + bias."""

    weights: NDArray[np.float32]
    bias: float

    def margins(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Margins (N,) of features (N, D)."""
        return features @ self.weights + np.float32(self.bias)


def fit_linear_svm(
    positives: NDArray[np.float32], negatives: NDArray[np.float32], settings: SvmSettings
) -> LinearSvm:
    """The SVM of features (P, D) and (N, D): hinge loss, squared norm of the weights.

    Minimises 0.5 (|w|^2 + v^2) + c sum_i k_i max(0, 1 - y_i (w . x_i + v B)), where k is
    positive_weight for positives and 1 for negatives, B = bias_feature, and the bias is v B.
    Without positives nothing is in the class, without negatives everything: margins of -1, 1.
    """
    # Loading it takes a second, which only a run that fits SVMs should wait for.
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC

    if len(positives) == 0 or len(negatives) == 0:
        width = positives.shape[1]
        return LinearSvm(np.zeros(width, np.float32), 1.0 if len(positives) else -1.0)
    solver = LinearSVC(
        loss="hinge",
        C=settings.c,
        class_weight={1: settings.positive_weight},
        intercept_scaling=settings.bias_feature,
        max_iter=settings.iterations,
        tol=_TOLERANCE,
        random_state=0,
    )
    labels = np.repeat([1, -1], [len(positives), len(negatives)])
    with warnings.catch_warnings():
        # The last steps to the tolerance move no margin by anything that matters.
        warnings.simplefilter("ignore", ConvergenceWarning)
        solver.fit(np.concatenate([positives, negatives]), labels)
    return LinearSvm(solver.coef_[0].astype(np.float32), float(solver.intercept_[0]))
