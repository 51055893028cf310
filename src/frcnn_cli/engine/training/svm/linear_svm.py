"""The linear SVM of one class and its hard negatives (Girshick et al., CVPR 2014, 2.3).

The negatives of all images do not fit in memory. So the SVM is fitted to those of the first
image, and then collects hard negatives (violations of the margin) from the next images. When
enough are found, it is fitted again and drops negatives that have become easy. LIBLINEAR fits it,
as in R-CNN.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from frcnn_cli.engine.settings import SvmSettings

_TOLERANCE = 1e-3


@dataclass(frozen=True)
class LinearSvm:
    """A linear classifier: the margin of features x is weights . x + bias.

    weights: (D,).
    """

    weights: NDArray[np.float32]
    bias: float

    def margins(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Margins (N,) of features (N, D)."""
        return features @ self.weights + np.float32(self.bias)


def fit_linear_svm(
    positives: NDArray[np.float32], negatives: NDArray[np.float32], settings: SvmSettings
) -> LinearSvm:
    """Fit an SVM to features (P, D) and (N, D): hinge loss, squared norm of the weights.

    Minimises 0.5 (|w|^2 + v^2) + c sum_i k_i max(0, 1 - y_i (w . x_i + v B)), where k is
    settings.weight_of(P) for positives and 1 for negatives, B = bias_feature, and the bias is v B.
    Without positives all margins are -1; without negatives all are 1.
    """
    # The import takes a second, which only runs that fit SVMs should spend.
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.svm import LinearSVC

    if len(positives) == 0 or len(negatives) == 0:
        width = positives.shape[1]
        return LinearSvm(np.zeros(width, np.float32), 1.0 if len(positives) else -1.0)
    solver = LinearSVC(
        loss="hinge",
        C=settings.c,
        class_weight={1: settings.weight_of(len(positives))},
        intercept_scaling=settings.bias_feature,
        max_iter=settings.iterations,
        tol=_TOLERANCE,
        random_state=0,
    )
    labels = np.repeat([1, -1], [len(positives), len(negatives)])
    with warnings.catch_warnings():
        # The last steps to the tolerance change the margins by negligible amounts.
        warnings.simplefilter("ignore", ConvergenceWarning)
        solver.fit(np.concatenate([positives, negatives]), labels)
    return LinearSvm(solver.coef_[0].astype(np.float32), float(solver.intercept_[0]))


# Margins of negatives: above the first one they are hard, below the second one easy.
HARD_MARGIN, EASY_MARGIN = -1.0001, -1.2


class HardNegatives:
    """The positives and the collected hard negatives of one class.

    svm: None until the first image with negatives. keys: (M, 2), the image and row of each
    collected negative.
    """

    def __init__(self, positives: NDArray[np.float32], settings: SvmSettings) -> None:
        self.svm: LinearSvm | None = None
        self.keys = np.zeros((0, 2), np.int64)
        self._positives = positives
        self._negatives = [np.zeros((0, positives.shape[1]), np.float32)]
        self._settings = settings
        self._new = 0

    def add_image(
        self, image: int, features: NDArray[np.float32], negative: NDArray[np.bool_]
    ) -> None:
        """Collect the new hard negatives of an image, and fit again if there are enough.

        image: its index. features: (R, D) of its RoIs. negative: (R,), whether each RoI is a
        negative.
        """
        if len(self._positives) == 0:
            return
        hard = (
            negative if self.svm is None else negative & (self.svm.margins(features) > HARD_MARGIN)
        )
        hard = hard.copy()
        hard[self.keys[self.keys[:, 0] == image, 1]] = False
        rows = np.flatnonzero(hard)
        self.keys = np.concatenate([self.keys, np.stack([np.full_like(rows, image), rows], 1)])
        self._negatives.append(features[rows])
        self._new += len(rows)
        if self._new > (0 if self.svm is None else self._settings.retrain_after):
            self._fit()

    def finish(self) -> LinearSvm:
        """The SVM fitted to all collected negatives."""
        if self._new or self.svm is None:
            self._fit()
        assert self.svm is not None
        return self.svm

    def _fit(self) -> None:
        negatives = np.concatenate(self._negatives)
        self.svm = fit_linear_svm(self._positives, negatives, self._settings)
        not_easy = self.svm.margins(negatives) >= EASY_MARGIN
        self.keys, self._negatives, self._new = self.keys[not_easy], [negatives[not_easy]], 0
