"""Time to score detections, against pycocotools on the same file at IoU 0.5."""

from __future__ import annotations

import contextlib
import io
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from frcnn_cli.engine.benchmarks.measuring import BenchmarkResult
from frcnn_cli.engine.datasets.export.dataset import export_dataset
from frcnn_cli.engine.evaluation.detections_file import read_detections
from frcnn_cli.engine.evaluation.voc import evaluate_voc
from frcnn_cli.engine.records import Dataset, Detections, GroundTruth, ImageRecord
from frcnn_cli.engine.reporter import SILENT, Reporter
from frcnn_proposals.errors import MisuseError

_SIDE = 500  # of the generated images, in pixels


@dataclass(frozen=True)
class EvaluationTimes:
    """Median seconds. read: read and index the results file. score: score the detections."""

    read: float
    score: float

    @property
    def total(self) -> float:
        return self.read + self.score


@dataclass(frozen=True)
class EvaluationBenchmark(BenchmarkResult):
    """ours: both VOC average precisions. theirs: pycocotools at IoU 0.5, objects of all sizes."""

    images: int
    detections: int
    classes: int
    repeats: int
    ours: EvaluationTimes
    theirs: EvaluationTimes

    @property
    def speedup(self) -> float:
        """Ratio of the scoring times."""
        return self.theirs.score / self.ours.score

    @property
    def speedup_with_reading(self) -> float:
        """Ratio of the times from the file on disk to the averages."""
        return self.theirs.total / self.ours.total


def benchmark_evaluation(
    images: int = 4952,
    detections_an_image: int = 100,
    classes: int = 20,
    repeats: int = 3,
    reporter: Reporter = SILENT,
) -> EvaluationBenchmark:
    """Score generated detections by both, interleaved, `repeats` times.

    Half of the detections per image lie near objects. Raises MisuseError if pycocotools is not
    installed.
    """
    try:
        import pycocotools.cocoeval  # noqa: F401
    except ImportError as error:
        raise MisuseError(
            "This benchmark needs pycocotools.\nInstall it with `pip install pycocotools`."
        ) from error
    dataset, detections = make_case(images, detections_an_image, classes)
    ours: list[EvaluationTimes] = []
    theirs: list[EvaluationTimes] = []
    with tempfile.TemporaryDirectory() as folder:
        truth, results = Path(folder) / "truth.json", Path(folder) / "results.json"
        export_dataset(dataset, truth, "coco")
        export_dataset(dataset, results, "coco", detections)
        del detections
        with reporter.progress("Scoring", repeats) as advance:
            for _ in range(repeats):
                ours.append(_time_ours(dataset, results))
                theirs.append(_time_theirs(truth, results))
                advance(1, "")
    count = images * detections_an_image
    return EvaluationBenchmark(images, count, classes, repeats, _median(ours), _median(theirs))


def make_case(
    images: int, detections_an_image: int, classes: int, seed: int = 0
) -> tuple[Dataset, dict[str, Detections]]:
    """A dataset and detections for it.

    Each image has two or three objects, of which a tenth are difficult. Half of the detections lie
    near objects, half anywhere.
    """
    rng = np.random.default_rng(seed)
    records, found = [], {}
    for number in range(1, images + 1):
        name = f"{number:06d}"
        count = int(rng.integers(2, 4))
        boxes = _random_boxes(rng, count)
        labels = rng.integers(1, classes + 1, count)
        truth = GroundTruth(boxes, labels, rng.uniform(size=count) < 0.1)
        records.append(ImageRecord(name, Path(f"{name}.jpg"), _SIDE, _SIDE, truth))
        near = rng.integers(0, count, detections_an_image // 2)
        moved = boxes[near] + rng.normal(0, 8, (len(near), 4)).astype(np.float32)
        moved[:, 2:] = np.maximum(moved[:, 2:], moved[:, :2])
        anywhere = detections_an_image - len(near)
        found[name] = Detections(
            np.concatenate([moved, _random_boxes(rng, anywhere)]),
            rng.uniform(size=detections_an_image).astype(np.float32),
            np.concatenate([labels[near], rng.integers(1, classes + 1, anywhere)]),
        )
    names = tuple(f"class{number}" for number in range(1, classes + 1))
    return Dataset("generated", "test", names, tuple(records)), found


def _random_boxes(rng: np.random.Generator, count: int) -> NDArray[np.float32]:
    corner = rng.uniform(0, _SIDE / 2, (count, 2))
    extent = rng.uniform(20, _SIDE / 2 - 1, (count, 2))
    return np.hstack([corner, corner + extent]).astype(np.float32)


def _time_ours(dataset: Dataset, results: Path) -> EvaluationTimes:
    start = time.perf_counter()
    detections = read_detections(results, dataset)
    read = time.perf_counter()
    evaluate_voc(dataset, detections)
    return EvaluationTimes(read - start, time.perf_counter() - read)


def _time_theirs(truth: Path, results: Path) -> EvaluationTimes:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        index = COCO(str(truth))
        start = time.perf_counter()
        found = index.loadRes(str(results))
        read = time.perf_counter()
        evaluator = COCOeval(index, found, "bbox")
        evaluator.params.iouThrs = np.array([0.5])
        evaluator.params.areaRng = [[0, 1e10]]
        evaluator.params.areaRngLbl = ["all"]
        evaluator.params.maxDets = [100]
        evaluator.evaluate()
        evaluator.accumulate()
        return EvaluationTimes(read - start, time.perf_counter() - read)


def _median(times: list[EvaluationTimes]) -> EvaluationTimes:
    return EvaluationTimes(median(run.read for run in times), median(run.score for run in times))
