"""The numbers of the section from image to map."""

from __future__ import annotations

import numpy as np
from made_up_subject import made_up_subject

from frcnn_cli.engine.pages.explain.sections.map import map_numbers
from frcnn_cli.engine.pages.explain.sections.rounding import rounded


def test_sizes_strength_and_boxes() -> None:
    subject = made_up_subject()
    numbers = map_numbers(subject)
    height, width = numbers["map"]
    # 96 x 128 pixels are already the network's size, and its stride is 8.
    assert (numbers["scale"], numbers["input"], numbers["stride"]) == (1.0, [96, 128], 8)
    assert (height, width, numbers["channels"]) == (12, 16, subject.feature_map.shape[1])
    values = subject.feature_map[0].numpy().astype(np.float64)
    for y, x in ((0, 0), (5, 3), (11, 15)):
        strength = np.sqrt(np.mean(values[:, y, x] ** 2))
        assert np.isclose(numbers["strength"][y][x], strength, rtol=0.006)
    assert numbers["proposals"] == np.rint(subject.proposals.boxes).tolist()
    chosen = subject.proposals.boxes[list(subject.chosen)]
    assert np.allclose(numbers["rois"], chosen * subject.scale, atol=0.01)


def test_rounding_keeps_significant_digits_and_json() -> None:
    assert rounded([[1234567.0, 0.00123456], [-2.0, float("nan")]], 3) == [
        [1230000, 0.00123],
        [-2, None],
    ]
    assert rounded(np.float32(0.1)) == 0.1
    assert rounded(float("inf")) is None
