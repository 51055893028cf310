"""What each way of making a training step quicker brings by itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import torch

from frcnn_cli.engine.benchmarks.train import IMAGES, TrainingCase, run_of
from frcnn_cli.engine.datasets.generate.dataset import generate_dataset
from frcnn_cli.engine.network.compile import compile_features
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.settings import Precision, TrainSettings
from frcnn_cli.engine.training.minibatches import Minibatch, Minibatches, minibatch_stream
from frcnn_cli.engine.training.stages import let_learn, make_optimizer, stages
from frcnn_cli.engine.training.step import train_step


@dataclass(frozen=True)
class Way:
    """How a step is computed. frozen: whether the first layers stay as they are."""

    name: str
    channels_last: bool = True
    frozen: bool = True
    precision: Precision = "float32"
    compile: bool = False


# The first is how training does it by itself.
WAYS = (
    Way("usual"),
    Way("channels-first", channels_last=False),
    Way("nothing-frozen", frozen=False),
    Way("bfloat16", precision="bfloat16"),
    Way("compiled", compile=True),
)


@dataclass(frozen=True)
class WayTime:
    """seconds: median of a step, data at hand. ratio: of the usual way's to these."""

    name: str
    seconds: float
    ratio: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def benchmark_ways(
    case: TrainingCase,
    ways: Sequence[Way] = WAYS,
    rounds: int = 3,
    steps: int = 4,
    progress: Callable[[str], None] = lambda name: None,
) -> list[WayTime]:
    """A step each that is not counted, then `rounds` of `steps` steps in turn, all of the same
    mini-batches. The first way is what the others are compared with."""
    with TemporaryDirectory() as folder:
        generate_dataset(Path(folder) / "pictures", IMAGES, size=(500, 375))
        run, model = run_of(case, Path(folder), rounds * steps + 1)
        minibatches = Minibatches(run.dataset, run.proposals, model.architecture, run.settings)
        batches = [list(batch) for batch in minibatch_stream(minibatches, 0, workers=0)]
    seconds: dict[str, list[float]] = {}
    done = {}
    for way in ways:
        progress(way.name)
        done[way.name] = _step(deepcopy(model), run.settings, way)
        done[way.name](batches[0])
        seconds[way.name] = []
    for start in range(1, len(batches), steps):
        for name, step in done.items():
            for batch in batches[start : start + steps]:
                began = time.perf_counter()
                step(batch)
                seconds[name].append(time.perf_counter() - began)
    medians = {name: median(each) for name, each in seconds.items()}
    usual = medians[ways[0].name]
    return [WayTime(name, value, usual / value) for name, value in medians.items()]


def _step(
    model: FastRCNN, settings: TrainSettings, way: Way
) -> Callable[[Sequence[Minibatch]], None]:
    """What trains the model on a mini-batch in this way."""
    layout = torch.channels_last if way.channels_last else torch.contiguous_format
    model = model.to(memory_format=layout).train()
    if not way.frozen:
        settings = replace(settings, frozen="none")
    let_learn(model, stages(settings)[0], settings)
    if way.compile:
        compile_features(model)
    optimizer = make_optimizer(model, settings.schedule)

    def step(batch: Sequence[Minibatch]) -> None:
        arranged = (replace(b, images=b.images.contiguous(memory_format=layout)) for b in batch)
        train_step(model, arranged, optimizer, 1e-4, bfloat16=way.precision == "bfloat16")

    return step
