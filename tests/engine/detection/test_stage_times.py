"""Detection time per stage for one image."""

from __future__ import annotations

import copy
import time
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from frcnn_cli.engine.detection import stage_times
from frcnn_cli.engine.detection.stage_times import NETWORK_STAGES, time_stages
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.records import Detections
from frcnn_cli.engine.settings import DetectSettings
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


def test_timing_does_not_change_the_model(small_model: FastRCNN) -> None:
    image = np.zeros((96, 128, 3), np.uint8)
    before = dict(vars(small_model))
    time_stages((small_model,), image, DenseBoxes().propose(image).top(5), repeats=1)
    assert vars(small_model).keys() == before.keys()
    for part in (small_model.features, small_model.fc6, small_model.fc7):
        assert not part._forward_hooks
        assert not part._forward_pre_hooks


def test_each_model_uses_its_own_settings(
    small_model: FastRCNN, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = np.zeros((96, 128, 3), np.uint8)
    proposals = DenseBoxes().propose(image).top(50)
    other = copy.deepcopy(small_model)
    used: dict[int, set[int]] = {id(small_model): set(), id(other): set()}
    detect_image = stage_times.detect_image

    def watched(model: FastRCNN, *arguments: Any) -> Detections:
        used[id(model)].add(arguments[-1].top_k)
        return detect_image(model, *arguments)

    monkeypatch.setattr(stage_times, "detect_image", watched)
    settings = (DetectSettings(top_k=3), DetectSettings(top_k=7))
    time_stages((small_model, other), image, proposals, repeats=1, settings=settings)
    assert used == {id(small_model): {3}, id(other): {7}}


def test_a_second_head_and_a_ranker_have_their_own_stages(small_model: FastRCNN) -> None:
    model = FastRCNN(replace(small_model.architecture, cascade=True, ranker=True)).eval()
    image = np.zeros((96, 128, 3), np.uint8)
    (times,) = time_stages((model,), image, DenseBoxes().propose(image).top(400), repeats=1)
    others = {"ranker", "second.fc6", "second.fc7"}
    assert set(times.stages) == {*NETWORK_STAGES, *others}
    assert min(times.stages.values()) > 0
    heads = ("fc6", "fc7", "second.fc6", "second.fc7")
    assert times.fully_connected == pytest.approx(sum(times.stages[name] for name in heads))
    assert "objectness" not in vars(model)
