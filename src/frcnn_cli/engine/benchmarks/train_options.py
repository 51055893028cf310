"""What each option that makes a training step faster contributes by itself."""

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

from frcnn_cli.engine.benchmarks.cases import STEP_OPTIONS, StepOption, TrainingCase
from frcnn_cli.engine.benchmarks.train import IMAGES, run_of
from frcnn_cli.engine.datasets.generate.dataset import generate_dataset
from frcnn_cli.engine.network.compile import compile_features
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.reporter import SILENT, Reporter
from frcnn_cli.engine.settings import TrainSettings
from frcnn_cli.engine.training.minibatches import Minibatch, Minibatches, minibatch_stream
from frcnn_cli.engine.training.stages import make_optimizer, set_trainable, stages
from frcnn_cli.engine.training.step import train_step


@dataclass(frozen=True)
class StepOptionTime:
    """seconds: median per step, data prepared. ratio: the usual step's seconds to these."""

    name: str
    seconds: float
    ratio: float

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def benchmark_step_options(
    case: TrainingCase,
    options: Sequence[StepOption] = STEP_OPTIONS,
    rounds: int = 3,
    steps: int = 4,
    reporter: Reporter = SILENT,
) -> list[StepOptionTime]:
    """One step per option that is not counted, then `rounds` of `steps` steps, interleaved, all
    of the same mini-batches. The others are compared with the first option."""
    with TemporaryDirectory() as folder:
        generate_dataset(Path(folder) / "pictures", IMAGES, size=(500, 375))
        run, model = run_of(case, Path(folder), rounds * steps + 1)
        minibatches = Minibatches(run.dataset, run.proposals, model.architecture, run.settings)
        batches = [list(batch) for batch in minibatch_stream(minibatches, 0, workers=0)]
    seconds: dict[str, list[float]] = {}
    step_of = {}
    with reporter.progress("Training", len(options)) as advance:
        for option in options:
            advance(1, option.name)
            step_of[option.name] = _step(deepcopy(model), run.settings, option)
            step_of[option.name](batches[0])
            seconds[option.name] = []
        for start in range(1, len(batches), steps):
            for name, step in step_of.items():
                for batch in batches[start : start + steps]:
                    began = time.perf_counter()
                    step(batch)
                    seconds[name].append(time.perf_counter() - began)
    medians = {name: median(values) for name, values in seconds.items()}
    usual = medians[options[0].name]
    return [StepOptionTime(name, value, usual / value) for name, value in medians.items()]


def _step(
    model: FastRCNN, settings: TrainSettings, option: StepOption
) -> Callable[[Sequence[Minibatch]], None]:
    """A function that trains the model on a mini-batch by this option."""
    layout = torch.channels_last if option.channels_last else torch.contiguous_format
    model = model.to(memory_format=layout).train()
    if not option.frozen:
        settings = replace(settings, frozen="none")
    set_trainable(model, stages(settings)[0], settings)
    if option.compile:
        compile_features(model)
    optimizer = make_optimizer(model, settings.schedule)

    def step(batch: Sequence[Minibatch]) -> None:
        arranged = (replace(b, images=b.images.contiguous(memory_format=layout)) for b in batch)
        train_step(model, arranged, optimizer, 1e-4, bfloat16=option.precision == "bfloat16")

    return step
