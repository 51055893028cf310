"""Seconds by stage."""

from __future__ import annotations

import time

import numpy as np
import pytest

from frcnn_cli.engine.detection.stage_times import NETWORK_STAGES, time_stages
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_proposals.sources.dense import DenseBoxes


def test_stages_add_up_and_a_slow_one_shows(
    small_model: FastRCNN, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = np.zeros((96, 128, 3), np.uint8)
    proposals = DenseBoxes().propose(image).top(50)
    forward = small_model.fc7.forward

    def slow(x: object) -> object:
        time.sleep(0.05)
        return forward(x)

    monkeypatch.setattr(small_model.fc7, "forward", slow)
    (times,) = time_stages((small_model,), image, proposals, repeats=1)
    assert tuple(times.stages) == NETWORK_STAGES
    assert sum(times.stages.values()) == pytest.approx(times.seconds, rel=1e-6)
    assert times.stages["fc7"] >= 0.05
    assert min(times.stages.values()) > 0
    assert times.fully_connected == times.stages["fc6"] + times.stages["fc7"]


def test_a_model_is_left_as_it_was(small_model: FastRCNN) -> None:
    image = np.zeros((96, 128, 3), np.uint8)
    before = dict(vars(small_model))
    time_stages((small_model,), image, DenseBoxes().propose(image).top(5), repeats=1)
    assert vars(small_model).keys() == before.keys()
    for part in (small_model.features, small_model.fc6, small_model.fc7):
        assert not part._forward_hooks
        assert not part._forward_pre_hooks
