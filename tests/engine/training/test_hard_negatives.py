"""Which negatives are collected, for points on a line and in a plane."""

import numpy as np

from frcnn_cli.engine.settings import SvmSettings
from frcnn_cli.engine.training.svm.linear_svm import EASY_MARGIN, HardNegatives, fit_linear_svm

# Positives at 4, negatives at 0: the boundary is at 2, margins are (x - 2) / 2.
SETTINGS = SvmSettings(c=100.0, retrain_after=1)


def column(*values: float) -> np.ndarray:
    return np.array(values, np.float32)[:, None]


def all_of(features: np.ndarray) -> np.ndarray:
    return np.ones(len(features), bool)


def test_all_negatives_of_the_first_image_and_hard_ones_of_the_others() -> None:
    miner = HardNegatives(column(4, 5), SvmSettings(c=100.0))
    first = column(0, 9, -0.1)
    miner.add_image(0, first, np.array([True, False, True]))
    assert miner.keys.tolist() == [[0, 0], [0, 2]]
    easy_and_hard = column(-3, 1, 9, 0.5)
    miner.add_image(1, easy_and_hard, np.array([True, True, False, True]))
    assert miner.keys.tolist() == [[0, 0], [0, 2], [1, 1], [1, 3]]


def test_negatives_that_become_easy_are_dropped() -> None:
    miner = HardNegatives(column(4, 5), SETTINGS)
    miner.add_image(0, column(0, -9), all_of(column(0, -9)))
    assert miner.keys.tolist() == [[0, 0]]  # -9 has margin -5.5
    miner.add_image(1, column(2, 2.5), all_of(column(2, 2.5)))
    # The boundary moved to between 2.5 and 4: 0 and 2 are now easy.
    assert miner.keys.tolist() == [[1, 1]]
    assert miner.svm is not None
    assert miner.svm.margins(column(0, 2)).max() < EASY_MARGIN


def test_an_image_seen_twice_adds_no_duplicates() -> None:
    miner = HardNegatives(column(4, 5), SvmSettings(c=100.0))
    for _ in range(2):
        miner.add_image(0, column(0, 1), all_of(column(0, 1)))
    assert miner.keys.tolist() == [[0, 1]]  # 0 has become easy


def test_mining_gives_the_svm_of_all_negatives() -> None:
    """Easy negatives do not move the boundary, so omitting them changes nothing."""
    generator = np.random.default_rng(0)
    positives = generator.normal((4, 0), 1, (60, 2)).astype(np.float32)
    images = [generator.normal((-4, 0), (3, 2), (200, 2)).astype(np.float32) for _ in range(15)]
    settings = SvmSettings(c=0.1, retrain_after=50, passes=2, iterations=20_000)
    miner = HardNegatives(positives, settings)
    for _ in range(settings.passes):
        for number, features in enumerate(images):
            miner.add_image(number, features, all_of(features))
    mined, whole = miner.finish(), fit_linear_svm(positives, np.concatenate(images), settings)
    assert len(miner.keys) < 600  # of 3000
    assert np.abs(mined.weights - whole.weights).max() < 0.03
    assert abs(mined.bias - whole.bias) < 0.03


def test_a_class_without_objects_is_never_detected() -> None:
    miner = HardNegatives(np.zeros((0, 1), np.float32), SETTINGS)
    miner.add_image(0, column(0, 1), all_of(column(0, 1)))
    assert miner.finish().margins(column(0, 1)).tolist() == [-1, -1]
