"""Time per stage over the images of a dataset."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from torch import Tensor, nn

from frcnn_cli.engine.detection.stage_times import mean_stages
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.records import Dataset
from frcnn_cli.engine.settings import DetectSettings
from frcnn_proposals.base import Proposals

EVERYTHING = DetectSettings(score_threshold=None)
MakeProposals = Callable[[Dataset], dict[str, Proposals]]


class Slow(nn.Module):
    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, x: Tensor) -> Tensor:
        time.sleep(0.2)
        result: Tensor = self.module(x)
        return result


def test_a_slow_layer_shows_in_its_stage(
    small_model: FastRCNN, tiny_dataset: Dataset, grid_proposals: MakeProposals
) -> None:
    slow = FastRCNN(small_model.architecture).eval()
    slow.load_state_dict(small_model.state_dict())
    slow.fc6 = Slow(slow.fc6)
    proposals = grid_proposals(tiny_dataset)
    plain, delayed = mean_stages(
        [small_model, slow], tiny_dataset, proposals, [EVERYTHING, EVERYTHING]
    )
    assert tuple(plain) == ("convolution", "RoI pooling", "fc6", "fc7", "the rest")
    assert delayed["fc6"] - plain["fc6"] == pytest.approx(0.2, abs=0.15)
    assert delayed["fc7"] < 0.2


def test_unreadable_images_are_skipped(
    small_model: FastRCNN, tiny_dataset: Dataset, grid_proposals: MakeProposals
) -> None:
    proposals = grid_proposals(tiny_dataset)
    first, *rest = tiny_dataset.images
    gone = replace(first, path=Path("gone.jpg"))
    partly = replace(tiny_dataset, images=(gone, *rest))
    assert sum(mean_stages([small_model], partly, proposals, [EVERYTHING])[0].values()) > 0
    nothing = replace(tiny_dataset, images=(gone,))
    assert mean_stages([small_model], nothing, proposals, [EVERYTHING]) == [{}]
