"""Our selective search against OpenCV's: seconds per image, and how well it covers the objects."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import mean, median
from typing import Any

import cv2
import torch

from frcnn_cli.engine.benchmarks.cases import LIST_LENGTHS
from frcnn_cli.engine.datasets.find import find_dataset
from frcnn_cli.engine.evaluation.recall import evaluate_recall
from frcnn_cli.engine.records import Dataset
from frcnn_cli.engine.reporter import SILENT, Reporter
from frcnn_proposals.base import Image, Proposals, Source
from frcnn_proposals.images import read_image
from frcnn_proposals.sources.opencv import OpenCVSelectiveSearch
from frcnn_proposals.sources.selective_search import Mode, SelectiveSearch

# OpenCV's search takes tens of times as long, so disturbances affect it less.
_OUR_ROUNDS = 3


@dataclass(frozen=True)
class Contestant:
    """Results of one search.

    seconds: median over images. found: mean number of proposals. The other values are of the first
    proposals only, up to the mode's list length.
    """

    seconds: float
    mabo: float
    not_difficult_mabo: float
    recall_50: float
    boxes: float
    found: float


@dataclass(frozen=True)
class ModeResult:
    """Results of one mode. ratio: median over images of OpenCV's time over ours."""

    images: int
    ours: Contestant
    opencv: Contestant
    ratio: float

    def to_json(self) -> dict[str, Any]:
        values: dict[str, Any] = {"images": self.images, "ratio": self.ratio}
        for name, contestant in (("ours", self.ours), ("opencv", self.opencv)):
            values[f"{name}_s"] = contestant.seconds
            values[f"{name}_mabo"] = contestant.mabo
            values[f"{name}_mabo_not_difficult"] = contestant.not_difficult_mabo
            values[f"{name}_recall_50"] = contestant.recall_50
            values[f"{name}_boxes"] = contestant.boxes
            values[f"{name}_boxes_found"] = contestant.found
        return values


@dataclass(frozen=True)
class ProposalBenchmark:
    """Results by mode. images: number of searched images."""

    images: int
    modes: dict[Mode, ModeResult]

    def to_json(self) -> dict[str, Any]:
        return {"modes": {mode: result.to_json() for mode, result in self.modes.items()}}


def benchmark_proposals(
    name: str,
    split: str = "trainval",
    data_root: Path | None = None,
    images: int = 100,
    modes: Sequence[Mode] = tuple(LIST_LENGTHS),
    reporter: Reporter = SILENT,
) -> ProposalBenchmark:
    """Time both searches on `images` images of a split, interleaved, on one thread each.

    Reading the images is not timed. Our time per image is the median of three runs, OpenCV's is
    one run.
    """
    dataset = _spread(find_dataset(name, split, data_root), images)
    torch_threads, opencv_threads = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        with reporter.progress("Searching", len(dataset) * len(modes)) as advance:
            results = {mode: _compare(dataset, mode, partial(advance, 1)) for mode in modes}
    finally:
        torch.set_num_threads(torch_threads)
        cv2.setNumThreads(opencv_threads)
    return ProposalBenchmark(len(dataset), results)


def _spread(dataset: Dataset, count: int) -> Dataset:
    """`count` images (all, if there are fewer), spread evenly over the dataset."""
    total = len(dataset)
    count = min(count, total)
    chosen = tuple(dataset.images[i * total // count] for i in range(count))
    return Dataset(dataset.name, dataset.split, dataset.classes, chosen)


def _compare(dataset: Dataset, mode: Mode, on_image: Callable[[str], None]) -> ModeResult:
    ours, opencv = SelectiveSearch(mode), OpenCVSelectiveSearch(mode)
    our_runs, their_runs = [], []
    for record in dataset.images:
        image = read_image(record.path)
        our_runs.append(_run(ours, image, _OUR_ROUNDS))
        their_runs.append(_run(opencv, image, 1))
        on_image(record.image_id)
    pairs = zip(our_runs, their_runs, strict=True)
    return ModeResult(
        images=len(dataset),
        ours=_summary(dataset, our_runs, LIST_LENGTHS[mode]),
        opencv=_summary(dataset, their_runs, LIST_LENGTHS[mode]),
        ratio=median(theirs.seconds / our.seconds for our, theirs in pairs),
    )


@dataclass(frozen=True)
class _Run:
    proposals: Proposals
    seconds: float


def _run(source: Source, image: Image, rounds: int) -> _Run:
    seconds = []
    for _ in range(rounds):
        start = time.perf_counter()
        proposals = source.propose(image)
        seconds.append(time.perf_counter() - start)
    return _Run(proposals, median(seconds))


def _summary(dataset: Dataset, runs: Sequence[_Run], length: int) -> Contestant:
    pairs = zip(dataset.images, runs, strict=True)
    by_id = {record.image_id: run.proposals for record, run in pairs}
    report = evaluate_recall(dataset, by_id, length)
    return Contestant(
        seconds=median(run.seconds for run in runs),
        mabo=report.all_objects.mabo,
        not_difficult_mabo=report.not_difficult.mabo,
        recall_50=report.all_objects.overall.recall_50,
        boxes=report.boxes,
        found=mean(len(run.proposals) for run in runs),
    )
