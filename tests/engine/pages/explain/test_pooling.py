"""The numbers of RoI pooling, compared with its definition and with torchvision."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torchvision
from made_up_subject import made_up_subject

from frcnn_cli.engine.pages.explain.sections.pooling import pooling_numbers
from frcnn_cli.engine.pages.explain.subject import Subject


@pytest.fixture(scope="module")
def subject() -> Subject:
    return made_up_subject()


def test_windows_and_bins_by_hand(subject: Subject) -> None:
    """The formula of the page, in exact arithmetic: windows are at most 16 cells here."""
    numbers = pooling_numbers(subject)
    height, width = numbers["map"]
    for k, (_, x1, y1, x2, y2) in enumerate(subject.chosen_rois.tolist()):
        r, c = (math.floor(low / 8 + 0.5) for low in (y1, x1))
        h = math.floor(y2 / 8 + 0.5) - r + 1
        w = math.floor(x2 / 8 + 0.5) - c + 1
        assert numbers["windows"][k] == [r, c, h, w]
        for axis, start, length, extent in (("rows", r, h, height), ("columns", c, w, width)):
            expected = [
                [
                    min(start + (i * length) // 7, extent),
                    min(start + -((-(i + 1) * length) // 7), extent),
                ]
                for i in range(7)
            ]
            assert [list(pair) for pair in numbers[axis][k]] == expected


def test_maxima_are_in_their_bins_and_equal_torchvision(subject: Subject) -> None:
    numbers = pooling_numbers(subject)
    _, width = numbers["map"]
    shown = subject.feature_map[:, numbers["channels"]]
    expected = torchvision.ops.roi_pool(shown, subject.chosen_rois, (7, 7), 1 / 8)
    values = shown[0].flatten(1)
    for k, of_roi in enumerate(numbers["cells"]):
        for channel, cells in enumerate(of_roi):
            pooled = [0.0 if cell < 0 else float(values[channel, cell]) for cell in cells]
            assert pooled == expected[k, channel].flatten().tolist()
            for bin_, cell in enumerate(cells):
                top, bottom = numbers["rows"][k][bin_ // 7]
                left, right = numbers["columns"][k][bin_ % 7]
                if cell < 0:
                    assert bottom <= top or right <= left
                else:
                    assert top <= cell // width < bottom
                    assert left <= cell % width < right


def test_channels_are_those_that_vary_most(subject: Subject) -> None:
    numbers = pooling_numbers(subject)
    features = subject.feature_map[0].flatten(1).numpy()
    deviations = features.std(axis=1)
    assert len(numbers["channels"]) == 8
    assert numbers["channels"] == sorted(np.argsort(-deviations)[:8].tolist())
    for channel, values in zip(numbers["channels"], numbers["values"], strict=True):
        assert np.allclose(values, features[channel], rtol=5.1e-4)


def test_a_map_with_fewer_channels(subject: Subject) -> None:
    few = replace(subject.maps, maps=(subject.feature_map[:, :3],))
    assert pooling_numbers(replace(subject, maps=few))["channels"] == [0, 1, 2]
