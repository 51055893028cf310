"""Detection in a video, end to end: writes an annotated video and its detections as JSON."""

from __future__ import annotations

import glob
import math
import time
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import orjson

from frcnn_cli.engine.detection.outputs import DetectionOutputs
from frcnn_cli.engine.detection.prepare import prepare_model
from frcnn_cli.engine.detection.results import coco_entries
from frcnn_cli.engine.detection.run import Detector
from frcnn_cli.engine.detection.texts import CSV_HEADER, csv_rows, start_yolo_folder
from frcnn_cli.engine.detection.tiles import (
    detect_in_tiles,
    propose_in_tiles,
    warn_of_small_images,
)
from frcnn_cli.engine.detection.videos.frames import Frame, Video, opened_video
from frcnn_cli.engine.detection.videos.pace import ALL_FRAMES, Pace
from frcnn_cli.engine.detection.videos.writer import video_file
from frcnn_cli.engine.distributed.devices import usable_cores
from frcnn_cli.engine.distributed.interrupt import stop_between_steps
from frcnn_cli.engine.distributed.streams import Streams
from frcnn_cli.engine.drawing.detections import draw_detections
from frcnn_cli.engine.drawing.fonts import warn_of_missing_letters
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.proposals.source_calls import Propose, SourceCalls, clipped_message
from frcnn_cli.engine.records import Detections, highest
from frcnn_cli.engine.reporter import SILENT, Reporter
from frcnn_cli.engine.settings import DetectSettings
from frcnn_proposals.base import Proposals, Source, is_per_stream
from frcnn_proposals.errors import InputError
from frcnn_proposals.files import reject_same_file, whole_file
from frcnn_proposals.sources.call import failure_message
from frcnn_proposals.wording import counted

SUFFIX = ".mp4"


@dataclass
class VideoDetections:
    """The output for a video.

    path: the annotated video. json_path: its detections. objects: number of detections per
    class. failure: the error that ended the video. interrupted: whether Ctrl-C ended it. clipped:
    number of proposals that reached outside the frames. best_rejected: the highest score in the
    frames in which no score reached the threshold. dropped: number of frames that arrived while the
    detector was busy; None if none is dropped.
    """

    path: Path
    json_path: Path
    frames: int = 0
    seconds: float = 0.0
    objects: Counter[str] = field(default_factory=Counter)
    failure: InputError | None = None
    interrupted: bool = False
    clipped: int = 0
    best_rejected: float | None = None
    dropped: int | None = None


def detect_in_video(
    detector: Detector,
    name: str,
    folder: Path,
    outputs: DetectionOutputs | None = None,
    reporter: Reporter = SILENT,
    pace: Pace = ALL_FRAMES,
) -> VideoDetections:
    """Detect frame by frame, and write the annotated video and its detections into `folder`.

    name: a video file or a camera (`0`, `camera:0` or an address). outputs: other outputs; the JSON
    file has the name of the video by default, and crops and YOLO texts are named NAME-FRAME. pace:
    the frames to process. For a truncated video, or after Ctrl-C, the output files are complete up
    to the last good frame. Raises InputError if no frame is good.
    """
    outputs = replace(outputs or DetectionOutputs(), annotated=None)
    with opened_video(name, pace) as (video, frames):
        classes = detector.loaded.classes
        warn_of_missing_letters(reporter, classes)
        model = prepare_model(detector.loaded.model, detector.loaded.precision)
        propose = SourceCalls(detector.source, is_stream=True)
        tiled = propose_in_tiles(propose, detector.tiles)
        ahead = frames_ahead(detector.source, pace)
        found = detect_frames(model, frames, tiled, detector.settings, ahead)
        warn_of_small_images(detector.tiles, [(video.width, video.height)], reporter)
        stem = video.stem
        path = folder / f"{stem}{SUFFIX}"
        done = VideoDetections(path, outputs.json_path or folder / f"{stem}.json")
        reject_same_file(name, path)
        if outputs.yolo is not None:
            earlier = outputs.yolo.glob(f"{glob.escape(stem)}-*.txt")
            start_yolo_folder(outputs.yolo, [text.stem for text in earlier], classes)
        started = time.monotonic()
        with (
            closing(propose),
            stop_between_steps() as stop,  # until the files are complete
            whole_file(done.json_path) as file,
            _csv_file(outputs.csv_path) as write_rows,
            video_file(path, video, pace.every) as write,
            reporter.progress("Detecting", _expected(video, pace), unit="frames") as advance,
        ):
            frames.is_stopped = lambda: stop.made
            file.write(b"[")
            try:
                for frame, proposals, every_detection in found:
                    detections = detector.selected(every_detection)
                    for entry in coco_entries(frame.index, detections, classes):
                        entry["seconds"] = round(frame.seconds, 3)
                        file.write((b",\n" if done.objects else b"\n") + orjson.dumps(entry))
                        done.objects[entry["category"]] += 1
                    write_rows(csv_rows(frame.index, detections, classes))
                    if outputs.need_pixels:
                        image_id = f"{stem}-{frame.index:06d}"
                        outputs.write_image(image_id, frame.image, detections, classes)
                    write(frame, draw_detections(frame.image, detections, classes))
                    done.frames += 1
                    done.clipped += proposals.clipped
                    done.best_rejected = highest((done.best_rejected, detections.best_rejected))
                    status = counted(len(detections), "object")
                    if pace.realtime:
                        status += f", {frames.dropped} dropped"
                    advance(1, status)
                    if stop.made:
                        break
            except InputError as error:
                if not done.frames:
                    raise
                done.failure = error
            file.write(b"]\n")
    if done.clipped:
        reporter.warn(clipped_message(detector.source.name, done.clipped))
    done.seconds, done.interrupted = time.monotonic() - started, stop.made
    done.dropped = frames.dropped if pace.realtime else None
    return done


def _expected(video: Video, pace: Pace) -> int | None:
    """The number of frames to process; None if it is not known."""
    if video.frames is None or pace.realtime:
        return None
    return math.ceil(video.frames / pace.every)


@contextmanager
def _csv_file(path: Path | None) -> Iterator[Callable[[bytes], object]]:
    """A function that writes rows; without a path, one that does nothing."""
    if path is None:
        yield lambda rows: None
        return
    with whole_file(path) as file:
        file.write(CSV_HEADER)
        yield file.write


def frames_ahead(source: Source, pace: Pace = ALL_FRAMES) -> int:
    """The number of threads that compute proposals of the next frames.

    1, if they must be in order. 0 in real time: a frame would wait for the next one to be
    read, and that one would be older than it needs to be when its turn comes.
    """
    if pace.realtime:
        return 0
    return 1 if is_per_stream(source) else usable_cores()


def detect_frames(
    model: FastRCNN,
    frames: Iterator[Frame],
    propose: Propose,
    settings: DetectSettings,
    ahead: int,
) -> Generator[tuple[Frame, Proposals, Detections]]:
    """Yield each frame with its proposals and detections, in order.

    As many threads as `ahead` call `propose` for the next frames; with one, in their order. With 0,
    a frame is read only when the caller wants it. The image id of a frame is its number, in six
    digits.
    If a frame cannot be read or its proposals cannot be computed, raises InputError after all
    frames before it.
    """

    def proposed(frame: Frame) -> tuple[Frame, Proposals]:
        try:
            return frame, propose(f"{frame.index:06d}", frame.image)
        except Exception as error:
            raise InputError(failure_message(f"frame {frame.index}", error)) from error

    def detected(task: tuple[Frame, Proposals]) -> tuple[Frame, Proposals, Detections]:
        frame, proposals = task
        return frame, proposals, detect_in_tiles(model, frame.image, proposals, settings)

    streams = Streams.of(model.offset_means.device) if ahead else Streams()
    yield from streams.pipeline(proposed, detected, frames, ahead)
