"""Hierarchical against RoI-centric sampling: what a mini-batch costs (paper, section 2.3)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

import numpy as np
import torch

from frcnn_cli.engine.benchmarks.measuring import BenchmarkResult, peak_growth
from frcnn_cli.engine.datasets.find import find_dataset
from frcnn_cli.engine.datasets.generate.dataset import generate_dataset
from frcnn_cli.engine.network.backbones.find import find_backbone
from frcnn_cli.engine.network.losses import multi_task_loss
from frcnn_cli.engine.network.model import FastRCNN, create_model
from frcnn_cli.engine.records import Dataset
from frcnn_cli.engine.reporter import SILENT, Reporter
from frcnn_cli.engine.settings import Sampling, TrainSettings
from frcnn_cli.engine.settings.training import Strategy
from frcnn_cli.engine.training.minibatches import Minibatch, Minibatches
from frcnn_proposals.base import Proposals
from frcnn_proposals.sources.dense import DenseBoxes

BACKBONE, SCALE = "efficientnet_lite0", 400
STRATEGIES: tuple[Strategy, ...] = ("hierarchical", "roi-centric")
_PROPOSALS = 2000
_PIECES = 16
# Three quarters of them are trainval: the 128 that a mini-batch of single RoIs needs.
GENERATED_IMAGES, GENERATED_SIZE = 172, (500, 375)


@dataclass(frozen=True)
class SamplingBenchmark(BenchmarkResult):
    """Median seconds of one mini-batch, forward and backward, and the memory it needs.

    rois: of a mini-batch. images: that they come from, by strategy. bytes: how far the peak of
    a process's memory rises over what it holds before (see peak_growth).
    """

    rois: int
    hierarchical_images: int
    roi_centric_images: int
    hierarchical_s: float
    roi_centric_s: float
    hierarchical_bytes: int
    roi_centric_bytes: int
    threads: int

    @property
    def ratio(self) -> float:
        """How many times longer RoI-centric sampling takes; the paper puts it at about 64."""
        return self.roi_centric_s / self.hierarchical_s


@dataclass(frozen=True)
class SamplingCase:
    """What both strategies are measured on."""

    dataset: Dataset
    proposals: Mapping[str, Proposals]
    sampling: Sampling = field(default_factory=Sampling)
    scale: int = SCALE

    @classmethod
    def of(cls, dataset: Dataset) -> SamplingCase:
        """The first images of `dataset` that a mini-batch needs, with boxes of a grid on each.

        Where RoIs come from does not change what they cost.
        """
        needed = Sampling().images * Sampling().rois_per_image
        dataset = replace(dataset, images=dataset.images[:needed])
        grid = DenseBoxes(step=0.4)
        proposals = {}
        for record in dataset.images:
            size = (record.height or 375, record.width or 500, 3)
            proposals[record.image_id] = grid.propose(np.zeros(size, np.uint8)).top(_PROPOSALS)
        return cls(dataset, proposals)


def benchmark_sampling(
    name: str | None = None,
    split: str = "trainval",
    data_root: Path | None = None,
    rounds: int = 3,
    reporter: Reporter = SILENT,
) -> SamplingBenchmark:
    """Measure both strategies on a split of the dataset `name`, or on images generated for it.

    Raises MisuseError where the dataset is unknown or has too few images.
    """
    if name is not None:
        dataset = find_dataset(name, split, data_root)
        return measure_sampling(SamplingCase.of(dataset), rounds, reporter)
    with TemporaryDirectory() as folder:
        reporter.detail(f"Generating {GENERATED_IMAGES} images")
        made = generate_dataset(Path(folder) / "shapes", GENERATED_IMAGES, size=GENERATED_SIZE)
        dataset = find_dataset(str(made), split)
        return measure_sampling(SamplingCase.of(dataset), rounds, reporter)


def measure_sampling(
    case: SamplingCase, rounds: int = 3, reporter: Reporter = SILENT
) -> SamplingBenchmark:
    """Time both, interleaved, on batches that are prepared beforehand, and measure the memory of
    each in a separate process. Raises MisuseError where the dataset has too few images."""
    model = _model(case)
    reporter.detail("preparing images")
    ready = {name: list(_shares(_minibatches(case, model, name))) for name in STRATEGIES}
    reporter.detail("timing")
    hierarchical, roi_centric = STRATEGIES
    seconds = _time_in_pieces(model, ready[hierarchical], ready[roi_centric], rounds)
    memory = {}
    for name in STRATEGIES:
        reporter.detail(f"memory, {name}")
        memory[name] = peak_growth(_prepare_one, (case, name))
    return SamplingBenchmark(
        rois=sum(len(share.labels) for share in ready[hierarchical]),
        hierarchical_images=sum(len(share.image_ids) for share in ready[hierarchical]),
        roi_centric_images=sum(len(share.image_ids) for share in ready[roi_centric]),
        hierarchical_s=seconds[0],
        roi_centric_s=seconds[1],
        hierarchical_bytes=memory[hierarchical],
        roi_centric_bytes=memory[roi_centric],
        threads=torch.get_num_threads(),
    )


def _time_in_pieces(
    model: FastRCNN,
    hierarchical: Sequence[Minibatch],
    roi_centric: Sequence[Minibatch],
    rounds: int,
) -> tuple[float, float]:
    """Median seconds of a whole mini-batch of each.

    One takes many times as long as the other. So that a busy machine is as busy for both, the
    long one is run in pieces, with the short one before each.
    """
    size = -(-len(roi_centric) // _PIECES)
    pieces = [roi_centric[first : first + size] for first in range(0, len(roi_centric), size)]
    forward_backward(model, hierarchical)  # the first time does not count
    short, long = [], []
    for _ in range(rounds):
        several = whole = 0.0
        for piece in pieces:
            start = time.perf_counter()
            forward_backward(model, hierarchical)
            middle = time.perf_counter()
            forward_backward(model, piece)
            several += middle - start
            whole += time.perf_counter() - middle
        short.append(several / len(pieces))
        long.append(whole)
    return median(short), median(long)


def forward_backward(model: FastRCNN, shares: Iterable[Minibatch]) -> None:
    """Add a mini-batch's gradients to those of the model, share by share."""
    for share in shares:
        outputs = model(share.images, share.rois)
        targets = model.normalise(share.targets, share.labels)
        losses = multi_task_loss(outputs.logits, outputs.offsets, share.labels, targets)
        (losses.total * len(share.labels)).backward()  # type: ignore[no-untyped-call]


def _prepare_one(case: SamplingCase, strategy: Strategy) -> Callable[[], None]:
    """What is measured: a mini-batch whose images are read as they are needed, as in training."""
    model = _model(case)
    batches = _minibatches(case, model, strategy)
    return lambda: forward_backward(model, _shares(batches))


def _model(case: SamplingCase) -> FastRCNN:
    backbone = find_backbone(BACKBONE)
    preprocessing = backbone.preprocessing.at_scale(case.scale)
    return create_model(backbone, case.dataset.classes, preprocessing=preprocessing).train()


def _minibatches(case: SamplingCase, model: FastRCNN, strategy: Strategy) -> Minibatches:
    settings = TrainSettings(sampling=replace(case.sampling, strategy=strategy))
    return Minibatches(case.dataset, case.proposals, model.architecture, settings)


def _shares(minibatches: Minibatches) -> Iterable[Minibatch]:
    """Those of the first mini-batch, one at a time."""
    return (minibatches[index] for index in range(minibatches.shares))
