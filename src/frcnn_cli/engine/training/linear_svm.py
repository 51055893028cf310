"""One class's linear SVM and its hard negatives, as in R-CNN (Girshick et al., CVPR 2014, 2.3).

All negatives of all images are too many to keep. So an SVM of those of the first image looks at
the next images for negatives that it gets wrong or nearly; when enough are found it is fitted
again, and forgets those that have become easy. LIBLINEAR fits it, as in R-CNN.
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


# Hard is what violates the margin, easy what is well outside it.
HARD_MARGIN, EASY_MARGIN = -1.0001, -1.2


class HardNegatives:
    """One class's positives, and its hard negatives so far.

    svm: fitted at the first image that has negatives; None before. keys: (M, 2), image and
    row of each negative that is kept.
    """

    def __init__(self, positives: NDArray[np.float32], settings: SvmSettings) -> None:
        self.svm: LinearSvm | None = None
        self.keys = np.zeros((0, 2), np.int64)
        self._positives = positives
        self._negatives = [np.zeros((0, positives.shape[1]), np.float32)]
        self._settings = settings
        self._new = 0

    def look_at(
        self, image: int, features: NDArray[np.float32], negative: NDArray[np.bool_]
    ) -> None:
        """Keep the new hard ones of an image's negatives, and fit again where they are enough.

        image: its number. features: (R, D) of its RoIs. negative: (R,), which may be kept.
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
        """The SVM of all that is kept."""
        if self._new or self.svm is None:
            self._fit()
        assert self.svm is not None
        return self.svm

    def _fit(self) -> None:
        negatives = np.concatenate(self._negatives)
        self.svm = fit_linear_svm(self._positives, negatives, self._settings)
        kept = self.svm.margins(negatives) >= EASY_MARGIN
        self.keys, self._negatives, self._new = self.keys[kept], [negatives[kept]], 0
