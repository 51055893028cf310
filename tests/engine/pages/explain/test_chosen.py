"""Which proposals the page shows in full: worked out by hand."""

from __future__ import annotations

import numpy as np
import torch

from frcnn_cli.engine.pages.explain.chosen import MOST, Reason, choose_rois
from frcnn_cli.engine.records import Detections, GroundTruth

NONE = Detections()
# A large object and a small one; IoU with inclusive corners.
TRUTH = GroundTruth(
    np.array([[100, 0, 109, 9], [0, 0, 39, 19]], np.float32),
    np.array([2, 1]),
    np.zeros(2, bool),
)
BOXES = np.array(
    [
        [0, 0, 39, 15],  # 0.8 of the large object
        [0, 0, 39, 17],  # 0.9 of it: its best
        [0, 0, 39, 7],  # 0.4: a near miss
        [0, 0, 39, 6],  # 0.35: nearly the same box as the near miss
        [100, 0, 109, 9],  # 1.0 of the small object
        [200, 200, 219, 219],  # background
        [0, 0, 39, 2],  # 0.15: none of these
    ],
    np.float32,
)


def scores(best: list[float]) -> torch.Tensor:
    """Scores of the background and two classes, with these highest ones."""
    values = torch.tensor(best)
    return torch.stack([1 - values, values, torch.zeros(len(best))], dim=1)


def test_kinds_and_their_order() -> None:
    given = scores([0.5, 0.5, 0.8, 0.7, 0.5, 0.6, 0.1])
    chosen = choose_rois(BOXES, given, TRUTH, NONE, np.random.default_rng(0))
    assert list(chosen)[:4] == [1, 4, 2, 5]
    assert [reason.kind for reason in chosen.values()] == [
        *("best", "best", "near miss", "background"),
        *["random"] * 3,
    ]
    assert sorted(chosen) == list(range(7))
    assert chosen[1] == Reason("best", 1, np.float32(0.9))
    assert chosen[4] == Reason("best", 2, 1.0)
    assert chosen[5] == Reason("background", 0, 0.0)


def test_detections_replace_a_missing_ground_truth() -> None:
    found = Detections(BOXES[4:5], np.array([0.9], np.float32), np.array([2]))
    chosen = choose_rois(BOXES, scores([0.5] * 7), None, found, np.random.default_rng(0))
    assert next(iter(chosen.items())) == (4, Reason("best", 2, 1.0))


def test_without_objects_the_highest_scores_come_first() -> None:
    given = scores([0.1, 0.2, 0.1, 0.1, 0.3, 0.9, 0.1])
    chosen = choose_rois(BOXES, given, None, NONE, np.random.default_rng(0))
    # The second has the highest score of the boxes that overlap it by more than one half.
    assert list(chosen)[:3] == [5, 4, 1]
    assert {chosen[row].kind for row in (5, 4, 1)} == {"highest score"}


def test_at_most_forty_and_the_seed_decides_the_random_ones() -> None:
    boxes = np.tile(np.array([[0, 0, 9, 9]], np.float32), (300, 1))
    boxes += np.arange(300, dtype=np.float32)[:, None] * 20
    given = scores([0.1] * 300)
    found = Detections(boxes[:60], np.linspace(1, 0.5, 60).astype(np.float32), np.ones(60, int))

    def rows(seed: int) -> list[int]:
        return list(choose_rois(boxes, given, None, found, np.random.default_rng(seed)))

    assert len(rows(0)) == len(set(rows(0))) == MOST
    assert rows(0) == rows(0)
    assert rows(0)[:22] == rows(1)[:22]
    assert rows(0)[22:] != rows(1)[22:]
