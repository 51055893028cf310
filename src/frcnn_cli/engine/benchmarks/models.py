"""Trained models against each other: seconds per image, with proposals given and from pixels."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

import torch

from frcnn_cli.engine.benchmarks.detect import sample_images
from frcnn_cli.engine.benchmarks.measuring import Contestant, interleaved_medians
from frcnn_cli.engine.detection.image import detect_image, threshold_for
from frcnn_cli.engine.detection.prepare import prepare_model
from frcnn_cli.engine.models.loaded import LoadedModel, open_model
from frcnn_cli.engine.models.shipped.table import display_name
from frcnn_cli.engine.reporter import SILENT, Reporter
from frcnn_proposals.base import Image, Proposals
from frcnn_proposals.sources.selective_search import SelectiveSearch

Detector = Callable[[Image, Proposals], object]


@dataclass(frozen=True)
class ModelTimes:
    """Seconds per image of one model, and their ratios to those of the first model.

    given: with the proposals given. made: from pixels, including selective search.
    """

    path: Path
    given_s: float
    made_s: float
    given_ratio: float
    made_ratio: float

    def to_json(self) -> dict[str, Any]:
        return {
            "model": display_name(self.path),
            "given_s": self.given_s,
            "given_ratio": self.given_ratio,
            "made_s": self.made_s,
            "made_ratio": self.made_ratio,
        }


@dataclass(frozen=True)
class ModelsBenchmark:
    """Times per model. photographs: False if the images are generated. threads: of torch."""

    models: tuple[ModelTimes, ...]
    photographs: bool
    threads: int

    def to_json(self) -> dict[str, Any]:
        return {"models": [times.to_json() for times in self.models], "threads": self.threads}


def benchmark_models(
    paths: Sequence[Path],
    runs_root: Path,
    count: int = 3,
    rounds: int = 5,
    reporter: Reporter = SILENT,
) -> ModelsBenchmark:
    """Time models on `count` images, interleaved, `rounds` times each.

    Each model detects with its own settings and precision, on the CPU. Proposals are those of the
    fast selective search. Seconds are the mean over images of the median over rounds. Raises
    MisuseError for a model that is not found.
    """
    device = torch.device("cpu")
    opened = [open_model(path, runs_root, device, reporter=reporter) for path in paths]
    images, photographs = sample_images(count)
    if not photographs:
        reporter.note("voc2007 not found: using generated images.")
    detectors = [_detector(model) for model in opened]
    times = []
    with reporter.progress("Detecting", count) as advance:
        for image in images:
            times.append(interleaved_medians(_contestants(detectors, image), rounds))
            advance(1, "")
    given = [mean(time[f"given {index}"] for time in times) for index in range(len(opened))]
    made = [mean(time[f"made {index}"] for time in times) for index in range(len(opened))]
    return ModelsBenchmark(
        tuple(
            ModelTimes(model.path, given[i], made[i], given[i] / given[0], made[i] / made[0])
            for i, model in enumerate(opened)
        ),
        photographs,
        torch.get_num_threads(),
    )


def _contestants(detectors: Sequence[Detector], image: Image) -> dict[str, Contestant]:
    source = SelectiveSearch("fast")
    proposals = source.propose(image)

    def made(detect: Detector) -> object:
        return detect(image, source.propose(image))

    contestants: dict[str, Contestant] = {}
    for index, detect in enumerate(detectors):
        contestants[f"given {index}"] = partial(detect, image, proposals)
        contestants[f"made {index}"] = partial(made, detect)
    return contestants


def _detector(loaded: LoadedModel) -> Detector:
    model = prepare_model(loaded.model, loaded.precision)
    settings = replace(loaded.experiment.detect, score_threshold=threshold_for(loaded.model))

    def detect(image: Image, proposals: Proposals) -> object:
        return detect_image(model, image, proposals, settings)

    return detect
