"""A training step taken apart, each part timed."""

from __future__ import annotations

import time
from dataclasses import dataclass
from itertools import pairwise

import torch

from frcnn_cli.engine.layers.dropout import RowDropout
from frcnn_cli.engine.losses import multi_task_loss
from frcnn_cli.engine.model import FastRCNN
from frcnn_cli.engine.settings import TrainSettings
from frcnn_cli.engine.training.minibatches import Minibatch


@dataclass(frozen=True)
class Stages:
    """Seconds of one step. head: fc6, fc7, the sibling layers and the loss."""

    data_wait: float
    conv: float
    roi_pooling: float
    head: float
    backward: float
    update: float

    @property
    def total(self) -> float:
        """Seconds of the whole step."""
        return float(sum(vars(self).values()))


def staged_step(
    model: FastRCNN, batch: Minibatch, optimizer: torch.optim.Optimizer, settings: TrainSettings
) -> Stages:
    """What train_step does, on a CPU, with the time at each stage's end."""
    optimizer.zero_grad(set_to_none=True)
    times = [time.perf_counter()]
    with torch.autocast("cpu", torch.bfloat16, settings.precision == "bfloat16"):
        features = model.features(batch.images)
        times.append(time.perf_counter())
        pooled = model.pool(features, batch.rois)
        times.append(time.perf_counter())
        outputs = model.head(pooled, RowDropout(batch.rows, batch.images.device))
    logits, offsets = (each.float() for each in outputs)
    targets = model.normalise(batch.targets, batch.labels)
    losses = multi_task_loss(logits, offsets, batch.labels, targets)
    times.append(time.perf_counter())
    losses.total.backward()  # type: ignore[no-untyped-call]
    times.append(time.perf_counter())
    optimizer.step()
    times.append(time.perf_counter())
    return Stages(0.0, *(end - start for start, end in pairwise(times)))
