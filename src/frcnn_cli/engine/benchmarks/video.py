"""Detection in a video made of photographs: time per frame and mAP by source of proposals."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from frcnn_cli.engine.benchmarks.cases import VIDEO_CASES, VideoCase
from frcnn_cli.engine.benchmarks.clips import HEIGHT, WIDTH, make_clips
from frcnn_cli.engine.datasets.find import find_dataset
from frcnn_cli.engine.detection.image import threshold_for
from frcnn_cli.engine.detection.prepare import prepare_model
from frcnn_cli.engine.detection.run import make_detector
from frcnn_cli.engine.detection.videos.frames import opened_video
from frcnn_cli.engine.detection.videos.run import detect_frames, frames_ahead
from frcnn_cli.engine.detection.videos.writer import video_file
from frcnn_cli.engine.drawing.detections import draw_detections
from frcnn_cli.engine.evaluation.voc import evaluate_voc
from frcnn_cli.engine.models.loaded import LoadedModel, open_model
from frcnn_cli.engine.proposals.source_calls import SourceCalls
from frcnn_cli.engine.records import Dataset, Detections, ImageRecord
from frcnn_cli.engine.reporter import SILENT, Advance, Reporter
from frcnn_cli.engine.settings.options import DetectionOptions
from frcnn_proposals.base import Image, Proposals
from frcnn_proposals.errors import MisuseError

_RATE = 5.0
_EVALUATED_FROM = 0.01  # the score threshold of detections that are evaluated
_UNTIMED = 3  # frames at the start, in which libraries are loaded


@dataclass(frozen=True)
class VideoResult:
    """Seconds per frame of one case, from the file to the annotated video, and its quality.

    processor_s: of all threads. proposals_s: the part of it for proposals. elapsed_s: wall clock.
    boxes: proposals per frame. map_area: None if no object counts.
    """

    case: VideoCase
    processor_s: float
    proposals_s: float
    elapsed_s: float
    boxes: float
    map_area: float | None

    def to_json(self) -> dict[str, Any]:
        names = ("processor_s", "proposals_s", "elapsed_s", "boxes", "map_area")
        return {"name": self.case.name, **{name: getattr(self, name) for name in names}}


@dataclass(frozen=True)
class VideoBenchmark:
    """Results per case. frames: of the video. threads: of torch."""

    results: tuple[VideoResult, ...]
    frames: int
    threads: int

    def to_json(self) -> dict[str, Any]:
        cases = [result.to_json() for result in self.results]
        return {"cases": cases, "frames": self.frames, "threads": self.threads}


def benchmark_video(
    name: str,
    split: str = "test",
    data_root: Path | None = None,
    model: Path = Path("voc"),
    runs_root: Path = Path("runs"),
    cases: Sequence[VideoCase] = VIDEO_CASES,
    clips: int = 16,
    frames: int = 10,
    reporter: Reporter = SILENT,
) -> VideoBenchmark:
    """Detect in a video of `clips` photographs of a dataset, with `frames` frames each.

    The photographs are spread evenly over the split. The model detects on the CPU. Raises
    MisuseError if its classes are not those of the dataset, or if there is no frame to time.
    """
    dataset = find_dataset(name, split, data_root)
    loaded = open_model(model, runs_root, torch.device("cpu"), reporter=reporter)
    if loaded.classes != dataset.classes:
        raise MisuseError(f"{model} does not detect the classes of {name}.")
    count = min(clips, len(dataset))
    if count * frames <= _UNTIMED:
        raise MisuseError(f"The video needs more than {_UNTIMED} frames.")
    photographs = [dataset.images[i * len(dataset) // count] for i in range(count)]
    total = len(cases) * count * frames
    with (
        tempfile.TemporaryDirectory() as folder,
        reporter.progress("Detecting", total) as advance,
    ):
        made = Path(folder) / "made.avi"
        truth = _write(made, photographs, frames, dataset)
        results = [_measure(case, loaded, made, truth, advance) for case in cases]
    return VideoBenchmark(tuple(results), count * frames, torch.get_num_threads())


def _write(
    path: Path, photographs: Sequence[ImageRecord], frames: int, dataset: Dataset
) -> Dataset:
    """Write the video; returns its frames with their objects. Image ids are frame numbers."""
    codec = cv2.VideoWriter.fourcc(*"MJPG")
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, codec, _RATE, (WIDTH, HEIGHT))
    records = []
    for number, (image, truth) in enumerate(make_clips(photographs, frames)):
        writer.write(np.ascontiguousarray(image[..., ::-1]))
        records.append(ImageRecord(str(number), path, WIDTH, HEIGHT, truth))
    writer.release()
    return Dataset("generated video", dataset.split, dataset.classes, tuple(records))


def _measure(
    case: VideoCase, loaded: LoadedModel, path: Path, truth: Dataset, advance: Advance
) -> VideoResult:
    scales = None if case.scale is None else (case.scale,)
    selects = loaded.model.architecture.selects_rois
    options = DetectionOptions(
        scales=scales,
        max_proposals=case.max_proposals if selects else None,
        score_threshold=_EVALUATED_FROM,
    )
    detector = make_detector(loaded, options, source=case.source)
    model, shown = prepare_model(loaded.model, loaded.precision), threshold_for(loaded.model)
    found: dict[str, Detections] = {}
    proposals_s: list[float] = []
    boxes = 0
    with closing(SourceCalls(detector.source, is_stream=True)) as calls:

        def propose(image_id: str, image: Image) -> Proposals:
            start = time.thread_time()
            proposals = calls(image_id, image)
            proposals_s.append(time.thread_time() - start)
            return proposals

        with (
            opened_video(str(path)) as (video, frames),
            video_file(path.with_suffix(".mp4"), video) as write,
        ):
            ahead = frames_ahead(detector.source)
            started, elapsed = time.process_time(), time.perf_counter()
            for frame, proposals, each in detect_frames(
                model, frames, propose, detector.settings, ahead
            ):
                write(frame, draw_detections(frame.image, each.above(shown), truth.classes))
                found[str(frame.index)] = each
                boxes += len(proposals)
                advance(1, case.name)
                if len(found) == _UNTIMED:
                    started, elapsed = time.process_time(), time.perf_counter()
            processor_s, elapsed_s = time.process_time() - started, time.perf_counter() - elapsed
    timed = len(found) - _UNTIMED
    return VideoResult(
        case,
        processor_s / timed,
        float(np.mean(proposals_s[_UNTIMED:])),
        elapsed_s / timed,
        boxes / len(found),
        evaluate_voc(truth, found).map_area,
    )
