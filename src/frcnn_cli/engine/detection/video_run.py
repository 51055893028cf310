"""Detection in a video, end to end: writes an annotated video and its detections as JSON."""

from __future__ import annotations

import glob
import os
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import cv2
import orjson

from frcnn_cli.engine.detection.image import detect_image
from frcnn_cli.engine.detection.outputs import DetectionOutputs
from frcnn_cli.engine.detection.prefetch import prefetch
from frcnn_cli.engine.detection.prepare import prepare_model
from frcnn_cli.engine.detection.results import coco_entries
from frcnn_cli.engine.detection.run import Detector
from frcnn_cli.engine.detection.texts import CSV_HEADER, csv_rows, start_yolo_folder
from frcnn_cli.engine.detection.video import Frame, Video, opened_video
from frcnn_cli.engine.distributed.devices import usable_cores
from frcnn_cli.engine.distributed.interrupt import stop_between_steps
from frcnn_cli.engine.drawing.detections import draw_detections
from frcnn_cli.engine.drawing.fonts import warn_of_missing_letters
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.proposals.source_calls import Propose, SourceCalls, clipped_message
from frcnn_cli.engine.records import Detections, highest
from frcnn_cli.engine.reporter import SILENT, Reporter
from frcnn_cli.engine.settings import DetectSettings
from frcnn_proposals.base import Image, Proposals
from frcnn_proposals.errors import InputError
from frcnn_proposals.files import reject_same_file, unfinished_file, whole_file
from frcnn_proposals.sources.call import failure_message
from frcnn_proposals.wording import counted

SUFFIX = ".mp4"
_CODEC = "mp4v"  # MPEG-4, which every build of OpenCV can write
# If a camera stalls, its last frame is repeated for at most this time, in seconds.
_LONGEST_PAUSE = 10.0

Write = Callable[[Frame, Image], None]


@dataclass
class VideoDetections:
    """The output for a video.

    path: the annotated video. json_path: its detections. objects: number of detections per
    class. failure: the error that ended the video. interrupted: whether Ctrl-C ended it. clipped:
    number of proposals that reached outside the frames. best_rejected: the highest score in the
    frames in which no score reached the threshold.
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


def detect_in_video(
    detector: Detector,
    name: str,
    folder: Path,
    outputs: DetectionOutputs | None = None,
    reporter: Reporter = SILENT,
) -> VideoDetections:
    """Detect frame by frame, and write the annotated video and its detections into `folder`.

    name: a video file or a camera (`0` or `camera:0`). outputs: other outputs; the JSON file has
    the name of the video by default, and crops and YOLO texts are named NAME-FRAME. For a truncated
    video, or after Ctrl-C, the output files are complete up to the last good frame. Raises
    InputError if no frame is good.
    """
    outputs = replace(outputs or DetectionOutputs(), annotated=None)
    with opened_video(name) as (video, frames):
        classes = detector.loaded.classes
        warn_of_missing_letters(reporter, classes)
        model = prepare_model(detector.loaded.model, detector.loaded.precision)
        propose = SourceCalls(detector.source)
        found = detect_frames(model, frames, propose, detector.settings)
        stem = video.name.replace(" ", "-") if video.is_camera else Path(name).stem
        path = folder / f"{stem}{SUFFIX}"
        done = VideoDetections(path, outputs.json_path or folder / f"{stem}.json")
        reject_same_file(name, path)
        if outputs.yolo is not None:
            earlier = outputs.yolo.glob(f"{glob.escape(stem)}-*.txt")
            start_yolo_folder(outputs.yolo, [text.stem for text in earlier], classes)
        started = time.monotonic()
        with (
            closing(propose),
            whole_file(done.json_path) as file,
            _csv_file(outputs.csv_path) as write_rows,
            video_file(path, video) as write,
            stop_between_steps() as stop,
            reporter.progress("Detecting", video.frames, unit="frames") as advance,
        ):
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
                    advance(1, counted(len(detections), "object"))
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
    return done


@contextmanager
def _csv_file(path: Path | None) -> Iterator[Callable[[bytes], object]]:
    """A function that writes rows; without a path, one that does nothing."""
    if path is None:
        yield lambda rows: None
        return
    with whole_file(path) as file:
        file.write(CSV_HEADER)
        yield file.write


def detect_frames(
    model: FastRCNN,
    frames: Iterator[Frame],
    propose: Propose,
    settings: DetectSettings,
) -> Iterator[tuple[Frame, Proposals, Detections]]:
    """Yield each frame with its proposals and detections, in order.

    Threads call `propose` a few frames ahead. The image id of a frame is its number, in six digits.
    If a frame cannot be read or its proposals cannot be computed, raises InputError after all
    frames before it.
    """

    def proposed(frame: Frame) -> tuple[Frame, Proposals]:
        try:
            return frame, propose(f"{frame.index:06d}", frame.image)
        except Exception as error:
            raise InputError(failure_message(f"frame {frame.index}", error)) from error

    failures: list[InputError] = []
    for frame, proposals in prefetch(proposed, _until_failure(frames, failures), usable_cores()):
        yield frame, proposals, detect_image(model, frame.image, proposals, settings)
    if failures:
        raise failures[0]


def _until_failure(frames: Iterator[Frame], failures: list[InputError]) -> Iterator[Frame]:
    """Store an error of the prefetched frames until the frames before it are processed."""
    try:
        yield from frames
    except InputError as error:
        failures.append(error)


@contextmanager
def video_file(path: Path, video: Video) -> Iterator[Write]:
    """Open a video for writing; yields a function that writes the image (H, W, 3) of a frame.

    Images are RGB and have the size of `video`. Frames of a camera are repeated, so that the video
    plays in real time. The file gets its name when the block ends without an error; a file
    without frames is removed. Raises InputError if the video cannot be written completely.
    """
    size = (video.width, video.height)
    codec = cv2.VideoWriter.fourcc(*_CODEC)
    written = 0

    def write(frame: Frame, image: Image) -> None:
        nonlocal written
        bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        for _ in range(_copies(frame, written, video)):
            writer.write(bgr)
            written += 1

    with unfinished_file(path) as partial:
        writer = cv2.VideoWriter(str(partial), cv2.CAP_FFMPEG, codec, video.rate, size)
        try:
            if not writer.isOpened():
                shown = f"{size[0]} x {size[1]} pixels"
                raise InputError(f"{path}: a video of {shown} cannot be written")
            yield write
        finally:
            writer.release()
        if written:
            _check(partial, path, written)
            os.replace(partial, path)


def _copies(frame: Frame, written: int, video: Video) -> int:
    if not video.is_camera:
        return 1
    due = round(frame.seconds * video.rate) + 1 - written
    return min(max(1, due), round(_LONGEST_PAUSE * video.rate) + 1)


def _check(partial: Path, path: Path, written: int) -> None:
    """Check the number of written frames: OpenCV does not report a full disk."""
    capture = cv2.VideoCapture(str(partial), cv2.CAP_FFMPEG)
    try:
        found = capture.get(cv2.CAP_PROP_FRAME_COUNT) if capture.isOpened() else 0
    finally:
        capture.release()
    if found < written:
        raise InputError(
            f"{path}: only {found:.0f} of {written} frames were written. Check for a full disk."
        )
