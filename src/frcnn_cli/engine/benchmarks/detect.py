"""Our detection against a baseline of standard parts: seconds per image, in total and by stage."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

import torch
from torch import nn

from frcnn_cli.engine.benchmarks.baselines import BaselineDetector
from frcnn_cli.engine.benchmarks.cases import DETECTION_CASES, DetectionCase
from frcnn_cli.engine.benchmarks.pipeline import SETTINGS, Network, PipelineTimes, time_by_workers
from frcnn_cli.engine.datasets.generate.dataset import generate_dataset
from frcnn_cli.engine.datasets.inputs import find_images
from frcnn_cli.engine.datasets.locate import locate
from frcnn_cli.engine.detection.image import detect_image, score_boxes
from frcnn_cli.engine.detection.prepare import prepare_model
from frcnn_cli.engine.detection.stage_times import STAGES, StageClock
from frcnn_cli.engine.distributed.devices import usable_cores
from frcnn_cli.engine.network.backbones.find import find_backbone
from frcnn_cli.engine.network.creation import create_model, with_ranks
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.proposals.source_calls import SourceCalls
from frcnn_cli.engine.records import ImageFile
from frcnn_cli.engine.reporter import SILENT, Reporter
from frcnn_cli.engine.settings import DetectSettings
from frcnn_proposals.base import Image, Proposals, Source
from frcnn_proposals.errors import MisuseError
from frcnn_proposals.images import read_image
from frcnn_proposals.sources.opencv import OpenCVSelectiveSearch
from frcnn_proposals.sources.selective_search import SelectiveSearch

CLASSES = tuple(f"class{index}" for index in range(20))  # as many as VOC has
TOLERANCE = 1e-3
PIPELINE_IMAGES = 200
CPU = torch.device("cpu")


@dataclass(frozen=True)
class DetectionResult:
    """Seconds per image, in total and by stage, and differences of the outputs before NMS.

    score_difference: the largest difference of probabilities. box_difference: the largest
    difference of coordinates, in pixels.
    """

    case: DetectionCase
    ours_s: float
    baseline_s: float
    ours_stages: dict[str, float]
    baseline_stages: dict[str, float]
    score_difference: float
    box_difference: float

    @property
    def ratio(self) -> float:
        return self.baseline_s / self.ours_s

    @property
    def equal(self) -> bool | None:
        """Whether the outputs agree within TOLERANCE; None if ours are not in float32."""
        if self.case.precision != "float32":
            return None
        return max(self.score_difference, self.box_difference) <= TOLERANCE

    def to_json(self) -> dict[str, Any]:
        return {
            "name": self.case.name,
            "ours_s": self.ours_s,
            "baseline_s": self.baseline_s,
            "ratio": self.ratio,
            "equal": self.equal,
            "score_difference": self.score_difference,
            "box_difference": self.box_difference,
            "stages": {
                stage: {
                    "ours_s": self.ours_stages[stage],
                    "ours_share": self.ours_stages[stage] / self.ours_s,
                    "baseline_s": self.baseline_stages[stage],
                    "baseline_share": self.baseline_stages[stage] / self.baseline_s,
                }
                for stage in STAGES
            },
        }


@contextmanager
def sample_files(count: int) -> Iterator[tuple[list[ImageFile], bool]]:
    """Files of voc2007, spread evenly; if it is not found, of generated images.

    Also yields whether they are images of voc2007. The dataset is looked up in
    $FRCNN_SHARED_DATA/voc2007-subset, then, as by every command, in $FRCNN_DATA and ./data.
    Generated images exist within the block.
    """
    shared = os.environ.get("FRCNN_SHARED_DATA")
    with tempfile.TemporaryDirectory() as folder:
        try:
            (voc,) = locate("voc2007", Path(shared) / "voc2007-subset" if shared else None)
        except MisuseError:
            generate_dataset(Path(folder) / "shapes", images=max(count, 8), size=(500, 375))
            files = find_images([str(Path(folder) / "shapes" / "JPEGImages")])
            yield files[:count], False
            return
        files = find_images([str(voc.layout.root / "JPEGImages")])
        yield [files[i * len(files) // count] for i in range(count)], True


def sample_images(count: int) -> tuple[list[Image], bool]:
    """The images of sample_files, and whether they are images of voc2007."""
    with sample_files(count) as (files, photographs):
        return [read_image(path) for _, path in files], photographs


@dataclass(frozen=True)
class DetectionBenchmark:
    """Results per case. photographs: False if the images are generated. threads: of torch.

    pipelines: on a GPU, per case and number of workers; a CPU does not wait for other work.
    """

    results: tuple[DetectionResult, ...]
    photographs: bool
    threads: int
    pipelines: tuple[PipelineTimes, ...] = ()

    @property
    def differing(self) -> list[str]:
        """Names of the cases whose outputs differ by more than TOLERANCE."""
        return [result.case.name for result in self.results if result.equal is False]

    def to_json(self) -> dict[str, Any]:
        return {
            "cases": [result.to_json() for result in self.results],
            "pipelines": [times.to_json() for times in self.pipelines],
        }


def benchmark_detection(
    cases: Sequence[DetectionCase] = DETECTION_CASES,
    count: int = 3,
    rounds: int = 3,
    device: torch.device = CPU,
    reporter: Reporter = SILENT,
) -> DetectionBenchmark:
    """Time our detection and the baseline on `count` images, interleaved, `rounds` times each.

    One image is run untimed first. Seconds are the mean over images of the median over rounds. On a
    GPU, detection in many images is timed too, by number of workers.
    """
    images, photographs = sample_images(count)
    if not photographs:
        reporter.note("voc2007 not found: using generated images.")
    with reporter.progress("Detecting", 2 * len(cases) * count * rounds) as advance:
        results = [
            _measure(case, images, rounds, device, partial(advance, 1, case.name)) for case in cases
        ]
    pipelines = _pipelines(cases, device, reporter) if device.type == "cuda" else ()
    return DetectionBenchmark(tuple(results), photographs, torch.get_num_threads(), pipelines)


def _pipelines(
    cases: Sequence[DetectionCase], device: torch.device, reporter: Reporter
) -> tuple[PipelineTimes, ...]:
    """Detection in PIPELINE_IMAGES images by 1, 2, 4, ... workers, and by one per core."""
    cores, found = usable_cores(), list[PipelineTimes]()
    workers = [*(2**power for power in range(cores.bit_length()) if 2**power < cores), cores]
    with (
        sample_files(PIPELINE_IMAGES) as (files, _),
        reporter.progress("Detecting", len(cases) * len(workers)) as advance,
    ):
        source = SelectiveSearch("fast")
        numbered = [(str(index), path) for index, (_, path) in enumerate(files)]
        known = {image_id: source.propose(read_image(path)) for image_id, path in numbered}

        def given(image_id: str, image: Image) -> Proposals:
            return known[image_id]

        for case in cases:
            network = Network(prepare_model(_model(case).to(device), case.precision))
            on_run = partial(advance, 1, case.name)
            propose = SourceCalls(source) if case.made else given
            found += time_by_workers(case.name, network, numbered, propose, workers, on_run)
    return tuple(found)


def _measure(
    case: DetectionCase,
    images: Sequence[Image],
    rounds: int,
    device: torch.device,
    on_run: Callable[[], None],
) -> DetectionResult:
    model = _model(case).to(device)
    prepared, baseline = prepare_model(model, case.precision), BaselineDetector(model)
    our_source, their_source = SelectiveSearch("fast"), OpenCVSelectiveSearch("fast")
    all_proposals = [our_source.propose(image).top(SETTINGS.proposals) for image in images]
    # A GPU rounds the inputs of convolutions to TF32, which is too coarse for a comparison.
    with torch.backends.cudnn.flags(enabled=True, allow_tf32=False):
        scores, boxes = score_boxes(prepared, images[0], all_proposals[0])
        their_scores, their_boxes = baseline.score_boxes(images[0], all_proposals[0])
    ours, theirs = [], []
    for image, proposals in zip(images, all_proposals, strict=True):
        given = None if case.made else proposals
        run_ours = partial(_run, image, given, our_source, prepared, device)
        run_theirs = partial(_run, image, given, their_source, baseline.network, device)
        our_runs, their_runs = [], []
        for _ in range(rounds):
            our_runs.append(run_ours(partial(detect_image, prepared)))
            on_run()
            their_runs.append(run_theirs(baseline.detect))
            on_run()
        ours.append(_medians(our_runs))
        theirs.append(_medians(their_runs))
    our_stages, their_stages = _means(ours), _means(theirs)
    return DetectionResult(
        case,
        sum(our_stages.values()),
        sum(their_stages.values()),
        our_stages,
        their_stages,
        float((scores - their_scores).abs().max()),
        float((boxes - their_boxes).abs().max()),
    )


def _run(
    image: Image,
    proposals: Proposals | None,
    source: Source,
    network: Any,
    device: torch.device,
    detect: Callable[[Image, Proposals, DetectSettings], object],
) -> dict[str, float]:
    """Seconds of each stage of one detection; computes the proposals by `source` if None."""
    clock = StageClock(device)
    if proposals is None:
        with clock.stage("proposals"):
            proposals = source.propose(image)
    with clock.watching(network):
        detect(image, proposals, SETTINGS)
    return clock.seconds


def _medians(runs: Sequence[dict[str, float]]) -> dict[str, float]:
    """The stages of the run whose total time is the median."""
    return sorted(runs, key=lambda run: sum(run.values()))[len(runs) // 2]


def _means(runs: Sequence[dict[str, float]]) -> dict[str, float]:
    return {stage: mean(run[stage] for run in runs) for stage in STAGES}


def _model(case: DetectionCase) -> FastRCNN:
    """A network with random weights that give activations of a usual size.

    The time does not depend on the values of the weights.
    """
    backbone = find_backbone(case.backbone)
    model = create_model(backbone, CLASSES, "none")
    if case.ranks is not None:
        model = FastRCNN(
            with_ranks(model.architecture, dict(zip(("fc6", "fc7"), case.ranks, strict=True)))
        )
    generator = torch.Generator().manual_seed(0)
    for layer in model.modules():
        if isinstance(layer, (nn.Conv2d, nn.Linear)):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu", generator=generator)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    for layer, deviation in (
        (model.score, 0.01),
        (model.box, 0.001),
    ):  # the paper's
        nn.init.normal_(layer.weight, std=deviation, generator=generator)
    model.offset_deviations.copy_(torch.tensor([0.1, 0.1, 0.2, 0.2]))
    return model.to(memory_format=torch.channels_last).eval()
