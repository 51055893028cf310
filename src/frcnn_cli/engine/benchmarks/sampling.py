"""Cost of a mini-batch by hierarchical and by RoI-centric sampling (paper, section 2.3)."""

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
from frcnn_cli.engine.network.creation import create_model
from frcnn_cli.engine.network.losses import multi_task_loss
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.records import Dataset
from frcnn_cli.engine.reporter import SILENT, Reporter
from frcnn_cli.engine.settings import Sampling, TrainSettings
from frcnn_cli.engine.settings.training import Strategy
from frcnn_cli.engine.training.minibatches import Minibatch, Minibatches
from frcnn_proposals.base import Proposals
from frcnn_proposals.sources.dense import DenseBoxes
from frcnn_proposals.wording import counted

BACKBONE, SCALE = "efficientnet_lite0", 400
STRATEGIES: tuple[Strategy, ...] = ("hierarchical", "roi-centric")
_PROPOSALS = 2000
_PIECES = 16
# Three quarters are in trainval: at least the 128 that an RoI-centric mini-batch needs.
GENERATED_IMAGES, GENERATED_SIZE = 172, (500, 375)


@dataclass(frozen=True)
class SamplingBenchmark(BenchmarkResult):
    """Median seconds of one mini-batch, forward and backward, and its memory.

    rois: RoIs per mini-batch. *_images: images that they come from. *_bytes: growth of the peak
    memory of a process (see peak_growth).
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
        """Time of RoI-centric over hierarchical sampling; about 64 according to the paper."""
        return self.roi_centric_s / self.hierarchical_s


@dataclass(frozen=True)
class SamplingCase:
    """The images and proposals that both strategies are measured on."""

    dataset: Dataset
    proposals: Mapping[str, Proposals]
    sampling: Sampling = field(default_factory=Sampling)
    scale: int = SCALE

    @classmethod
    def of(cls, dataset: Dataset) -> SamplingCase:
        """The first images of `dataset`, as many as a mini-batch needs, with a grid of proposals.

        The cost does not depend on the source of the proposals.
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
    """Measure both strategies on a split of the dataset `name`, or on generated images if None.

    Raises MisuseError if the dataset is unknown or has too few images.
    """
    if name is not None:
        dataset = find_dataset(name, split, data_root)
        return measure_sampling(SamplingCase.of(dataset), rounds, reporter)
    with TemporaryDirectory() as folder:
        reporter.detail(f"Generating {counted(GENERATED_IMAGES, 'image')}")
        root = generate_dataset(Path(folder) / "shapes", GENERATED_IMAGES, size=GENERATED_SIZE)
        dataset = find_dataset(str(root), split)
        return measure_sampling(SamplingCase.of(dataset), rounds, reporter)


def measure_sampling(
    case: SamplingCase, rounds: int = 3, reporter: Reporter = SILENT
) -> SamplingBenchmark:
    """Time both strategies, interleaved, on prepared mini-batches, and measure their memory.

    The memory of each strategy is measured in a separate process. Raises MisuseError if the dataset
    has too few images.
    """
    model = _model(case)
    reporter.detail("Preparing images")
    ready = {name: list(_shares(_minibatches(case, model, name))) for name in STRATEGIES}
    reporter.detail("Timing")
    hierarchical, roi_centric = STRATEGIES
    seconds = _time_in_pieces(model, ready[hierarchical], ready[roi_centric], rounds)
    memory = {}
    for name in STRATEGIES:
        reporter.detail(f"Measuring memory: {name}")
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
    """Median seconds of a whole mini-batch by each strategy.

    A RoI-centric mini-batch takes many times as long as a hierarchical one. It is run in pieces,
    each preceded by a hierarchical mini-batch, so that other load affects both equally.
    """
    size = -(-len(roi_centric) // _PIECES)
    pieces = [roi_centric[first : first + size] for first in range(0, len(roi_centric), size)]
    forward_backward(model, hierarchical)  # warm up
    short, long = [], []
    for _ in range(rounds):
        short_total = long_total = 0.0
        for piece in pieces:
            start = time.perf_counter()
            forward_backward(model, hierarchical)
            middle = time.perf_counter()
            forward_backward(model, piece)
            short_total += middle - start
            long_total += time.perf_counter() - middle
        short.append(short_total / len(pieces))
        long.append(long_total)
    return median(short), median(long)


def forward_backward(model: FastRCNN, shares: Iterable[Minibatch]) -> None:
    """Accumulate the gradients of a mini-batch, share by share."""
    for share in shares:
        outputs = model(share.images, share.rois)
        targets = model.normalise(share.targets, share.labels)
        losses = multi_task_loss(outputs.logits, outputs.offsets, share.labels, targets)
        (losses.total * len(share.labels)).backward()  # type: ignore[no-untyped-call]


def _prepare_one(case: SamplingCase, strategy: Strategy) -> Callable[[], None]:
    """A function that runs a mini-batch and reads its images as needed, as in training."""
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
    """The shares of the first mini-batch, one at a time."""
    return (minibatches[index] for index in range(minibatches.shares))
