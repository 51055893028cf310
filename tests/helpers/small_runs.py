"""Short training runs for tests: twelve images, a small head, a few iterations."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import torch

from frcnn_cli.engine.models.store import load_model
from frcnn_cli.engine.network.backbones.find import find_backbone
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.records import Dataset
from frcnn_cli.engine.settings import Architecture, Schedule, TrainSettings

State = dict[str, torch.Tensor]


def settings(iterations: int, every: int, **more: object) -> TrainSettings:
    schedule = Schedule(iterations, learning_rate=0.01)
    return TrainSettings(schedule=schedule, workers=0, checkpoint_every=every, **more)


def new_model(dataset: Dataset, cascade: bool = False, ranker: bool = False) -> FastRCNN:
    torch.manual_seed(0)
    backbone = find_backbone("efficientnet_lite0")
    preprocessing = replace(backbone.preprocessing, scale=64, max_size=100)
    return FastRCNN(
        Architecture(
            backbone.name,
            dataset.classes,
            (24, 16),
            preprocessing,
            cascade=cascade,
            ranker=ranker,
        )
    )


def weights(path: Path) -> State:
    """The weights of a model file."""
    return load_model(path)[0].state_dict()


def equal(first: State, second: State) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[n], second[n]) for n in first)


def measured(folder: Path) -> list[dict[str, float]]:
    """The metrics without the times, which differ from run to run."""
    rows = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    times = ("seconds", "waiting")
    return [{name: row[name] for name in row if name not in times} for row in rows]
