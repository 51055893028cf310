"""Time of a training step, against a loop of standard parts and with different options."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import astuple, dataclass, replace
from itertools import pairwise
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import torch

from frcnn_cli.engine.benchmarks.baselines import PlainTraining
from frcnn_cli.engine.benchmarks.cases import STEP_OPTIONS, TRAINING_CASES, StepOption, TrainingCase
from frcnn_cli.engine.benchmarks.measuring import BenchmarkResult, interleaved_medians
from frcnn_cli.engine.datasets.find import find_dataset
from frcnn_cli.engine.datasets.generate.dataset import generate_dataset
from frcnn_cli.engine.detection.stage_times import sample_proposals
from frcnn_cli.engine.models.initial import with_weak_head
from frcnn_cli.engine.models.presets import WEAK_PROPOSALS, base_experiment
from frcnn_cli.engine.network.backbones.find import find_backbone
from frcnn_cli.engine.network.compile import compile_features
from frcnn_cli.engine.network.creation import create_model
from frcnn_cli.engine.network.layers.dropout import RowDropout
from frcnn_cli.engine.network.losses import multi_task_loss
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.reporter import SILENT, Reporter
from frcnn_cli.engine.settings import Classifier, TrainSettings
from frcnn_cli.engine.settings.weak import WEAK
from frcnn_cli.engine.training.minibatches import Minibatch, Minibatches, minibatch_stream
from frcnn_cli.engine.training.optimizer import make_optimizer
from frcnn_cli.engine.training.run import Run
from frcnn_cli.engine.training.stages import set_trainable, stages
from frcnn_cli.engine.training.step import train_step
from frcnn_cli.engine.training.weak.labels import without_boxes

_IMAGES = 48  # of 500 x 375 pixels; three quarters are in trainval


@dataclass(frozen=True)
class TrainingTimes(BenchmarkResult):
    """Median seconds per step, including the wait for data. stages: of our step.

    losses: of the first step, ours and the baseline's; equal up to the rounding of the precision.
    """

    name: str
    ours_s: float
    torchvision_s: float
    stages: Stages
    losses: tuple[float, float]

    @property
    def ratio(self) -> float:
        return self.torchvision_s / self.ours_s


def benchmark_training(
    cases: Sequence[TrainingCase] = TRAINING_CASES,
    rounds: int = 3,
    steps: int = 4,
    reporter: Reporter = SILENT,
) -> list[TrainingTimes]:
    """Time each case, ours and the baseline interleaved: `rounds` rounds of `steps` steps each.

    Warm-up steps are not counted.
    """
    results = []
    with TemporaryDirectory() as folder, reporter.progress("Training", len(cases)) as advance:
        generate_dataset(Path(folder) / "images", _IMAGES, size=(500, 375))
        for case in cases:
            results.append(_measure(case, Path(folder), rounds, steps, reporter))
            advance(1, case.name)
    return results


def _measure(
    case: TrainingCase, folder: Path, rounds: int, steps: int, reporter: Reporter
) -> TrainingTimes:
    run, model = _run_of(case, folder, 2 * rounds * steps + 2)
    plain = PlainTraining(deepcopy(model), run)
    ours = _our_steps(model, run)
    start = time.perf_counter()
    losses = (next(ours), plain.step())
    # The stages of our step are timed afterwards.
    expected = (time.perf_counter() - start) * (rounds + 0.5) * steps
    reporter.note(f"{case.name}: expected to take about {expected:.0f} s")
    seconds = interleaved_medians({"ours": ours.__next__, "plain": plain.step}, rounds, steps)
    return TrainingTimes(
        case.name, seconds["ours"], seconds["plain"], _stages(model, run, steps), losses
    )


def _run_of(
    case: TrainingCase, folder: Path, iterations: int, classifier: Classifier = "softmax"
) -> tuple[Run, FastRCNN]:
    dataset = find_dataset(str(folder / "images"), "trainval")
    experiment = base_experiment(case.preset, case.backbone)
    settings = experiment.train
    schedule = replace(settings.schedule, iterations=iterations, learning_rate=1e-4, warmup=0)
    sampling = replace(settings.sampling, scales=())  # one scale, as in the baseline
    settings = replace(
        settings,
        schedule=schedule,
        sampling=sampling,
        precision=case.precision,
        cascade_iou=0.0,  # one head without a ranker, as in the baseline
        ranked_rois=0,
    )
    if classifier in WEAK:
        settings = replace(
            settings, classifier=classifier, box_training="none", proposals=WEAK_PROPOSALS
        )
        dataset = without_boxes(dataset)
    backbone = find_backbone(experiment.backbone)
    preprocessing = experiment.preprocessing.at_scale(case.scale)
    model = create_model(backbone, dataset.classes, "none", preprocessing)
    # Freeze the first layers, as with ImageNet weights, which are not needed to measure time.
    model.architecture = replace(model.architecture, pretrained=True)
    model = with_weak_head(model, settings)
    set_trainable(model, stages(settings)[0], settings)
    proposals = sample_proposals()
    by_image = {record.image_id: proposals for record in dataset.images}
    return Run(folder, dataset, by_image, settings), model.train()


def _our_steps(model: FastRCNN, run: Run) -> Iterator[float]:
    """Yield the loss of each step; a step runs when its loss is requested."""
    optimizer = make_optimizer(model, run.settings.schedule)
    bfloat16 = run.settings.precision == "bfloat16"
    for minibatch in _minibatches(model, run):
        losses = train_step(model, minibatch, optimizer, 1e-4, bfloat16=bfloat16)
        assert losses is not None
        yield losses.total.item()


def _stages(model: FastRCNN, run: Run, steps: int) -> Stages:
    """Median seconds of each stage over `steps` steps, after one warm-up step."""
    optimizer = make_optimizer(model, run.settings.schedule)
    found = []
    batches = _minibatches(model, run)
    for _ in range(steps + 1):
        start = time.perf_counter()
        (batch,) = next(batches)
        wait = time.perf_counter() - start
        found.append(replace(staged_step(model, batch, optimizer, run.settings), data_wait=wait))
    return Stages(*(median(values) for values in zip(*map(astuple, found[1:]), strict=True)))


def _minibatches(model: FastRCNN, run: Run) -> Iterator[Iterator[Minibatch]]:
    minibatches = Minibatches(run.dataset, run.proposals, model.architecture, run.settings)
    return minibatch_stream(minibatches, 0, run.settings.workers)


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
    """Run one step as train_step does, on a CPU, and time its stages."""
    optimizer.zero_grad(set_to_none=True)
    times = [time.perf_counter()]
    with torch.autocast("cpu", torch.bfloat16, settings.precision == "bfloat16"):
        features = model.features(batch.images)
        times.append(time.perf_counter())
        pooled = model.pool(features, batch.rois)
        times.append(time.perf_counter())
        outputs = model.head(pooled, RowDropout(batch.rows, batch.images.device))
    logits, offsets = (output.float() for output in outputs)
    targets = model.normalise(batch.targets, batch.labels)
    losses = multi_task_loss(logits, offsets, batch.labels, targets)
    times.append(time.perf_counter())
    losses.total.backward()  # type: ignore[no-untyped-call]
    times.append(time.perf_counter())
    optimizer.step()
    times.append(time.perf_counter())
    return Stages(0.0, *(end - start for start, end in pairwise(times)))


@dataclass(frozen=True)
class StepOptionTime:
    """seconds: median per step, without data preparation. ratio: time of the usual step over it."""

    name: str
    seconds: float
    ratio: float


def benchmark_step_options(
    case: TrainingCase,
    options: Sequence[StepOption] = STEP_OPTIONS,
    rounds: int = 3,
    steps: int = 4,
    reporter: Reporter = SILENT,
) -> list[StepOptionTime]:
    """Time the options, interleaved, on the same images: `rounds` rounds of `steps` steps.

    Options of one classifier have the same mini-batches. One warm-up step per option is not
    counted. The other options are compared with the first.
    """
    with TemporaryDirectory() as folder:
        generate_dataset(Path(folder) / "images", _IMAGES, size=(500, 375))
        prepared = {
            classifier: _prepared(case, Path(folder), rounds * steps + 1, classifier)
            for classifier in dict.fromkeys(option.classifier for option in options)
        }
    with reporter.progress("Training", len(options)) as advance:
        training = {}
        for option in options:
            advance(1, option.name)
            settings, model, batches = prepared[option.classifier]
            step = _step_by(deepcopy(model), settings, option)
            training[option.name] = map(step, batches).__next__
        medians = interleaved_medians(training, rounds, steps)
    usual = medians[options[0].name]
    return [StepOptionTime(name, value, usual / value) for name, value in medians.items()]


def _prepared(
    case: TrainingCase, folder: Path, iterations: int, classifier: Classifier
) -> tuple[TrainSettings, FastRCNN, list[list[Minibatch]]]:
    """The settings, the network and the mini-batches of a classifier."""
    run, model = _run_of(case, folder, iterations, classifier)
    minibatches = Minibatches(run.dataset, run.proposals, model.architecture, run.settings)
    batches = [list(batch) for batch in minibatch_stream(minibatches, 0, workers=0)]
    return run.settings, model, batches


def _step_by(
    model: FastRCNN, settings: TrainSettings, option: StepOption
) -> Callable[[Sequence[Minibatch]], None]:
    """A function that trains the model on a mini-batch with this option."""
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
