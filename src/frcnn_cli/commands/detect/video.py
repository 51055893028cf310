"""`frcnn detect` in a video or before a camera."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import orjson
import torch
from rich.markup import escape
from rich.table import Table

from frcnn_cli.commands.detect.options import Asked, Detector, open_detector
from frcnn_cli.commands.shared.console import Output
from frcnn_cli.commands.shared.progress import FRAMES
from frcnn_cli.engine.detection.images import proposals_of
from frcnn_cli.engine.detection.prepare import prepare_model
from frcnn_cli.engine.detection.video import DetectedFrame, detect_frames, opened_video
from frcnn_cli.engine.detection.video_writer import SUFFIX, Write, video_file
from frcnn_cli.engine.distributed.interrupt import StopRequest, stop_between_steps
from frcnn_cli.engine.drawing.detections import draw_detections
from frcnn_cli.engine.evaluation.coco_results import coco_results
from frcnn_cli.engine.reporter import Advance
from frcnn_proposals.errors import InputError
from frcnn_proposals.files import refuse_to_replace, whole_file


@dataclass
class _Done:
    """What has been written so far. failure: why there is no more."""

    frames: int = 0
    objects: Counter[str] = field(default_factory=Counter)
    failure: InputError | None = None


def detect_in_video(output: Output, asked: Asked, device: torch.device) -> None:
    """Write the annotated video and its detections, frame by frame.

    Raises InputError after the last good frame of a video that is cut, KeyboardInterrupt after
    Ctrl-C: what was done by then is written whole.
    """
    (name,) = asked.images
    with opened_video(name) as (video, frames):
        detector = open_detector(output, asked, device)
        model = prepare_model(detector.loaded.model, detector.loaded.precision)
        found = detect_frames(model, frames, proposals_of(detector.source), detector.settings)
        stem = Path(name).stem if not video.is_camera else f"camera-{name}"
        path = asked.out / f"{stem}{SUFFIX}"
        json_path = asked.json_path or asked.out / f"{stem}.json"
        refuse_to_replace(name, path)
        started = time.monotonic()
        with (
            whole_file(json_path) as file,
            video_file(path, video) as write,
            stop_between_steps() as stop,
            output.progress("Detecting", video.frames, unit=FRAMES) as advance,
        ):
            writer = _Writer(file, write, detector)
            done = writer.write_all(found, stop, advance)
    seconds = time.monotonic() - started
    output.print(_table(done))
    output.note(
        f"{done.frames} frames in {seconds:.1f} s: {done.frames / seconds:.1f} frames a second"
    )
    output.print(f"Video: [bold]{escape(str(path))}[/]")
    output.note(f"Detections: {json_path}")
    if done.failure is not None:
        raise done.failure
    if stop.made:
        output.note(f"Interrupted after frame {done.frames}: the files hold what was done.")
        raise KeyboardInterrupt


@dataclass(frozen=True)
class _Writer:
    """Writes frames to the video, and their detections to a json list."""

    file: BinaryIO
    write: Write
    detector: Detector

    def write_all(
        self, found: Iterator[DetectedFrame], stop: StopRequest, advance: Advance
    ) -> _Done:
        """Until the end, the first bad frame or a request to stop.

        Raises InputError where not even one frame is good.
        """
        done = _Done()
        self.file.write(b"[")
        try:
            for each in found:
                self._write(each, done)
                advance(1, f"{len(each.detections)} objects")
                if stop.made:
                    break
        except InputError as error:
            if not done.frames:
                raise
            done.failure = error
        self.file.write(b"]\n")
        return done

    def _write(self, each: DetectedFrame, done: _Done) -> None:
        frame, classes = each.frame, self.detector.classes
        entries = coco_results({"": each.detections}, classes)
        for entry in entries:
            entry |= {"image_id": frame.index, "seconds": round(frame.seconds, 3)}
            comma = b",\n" if done.objects else b"\n"
            self.file.write(comma + orjson.dumps(entry))
            done.objects[entry["category"]] += 1
        self.write(frame, draw_detections(frame.image, each.detections, classes))
        done.frames += 1


def _table(done: _Done) -> Table:
    """How often each class was seen."""
    table = Table("class")
    table.add_column("in all frames", justify="right")
    for name, count in done.objects.most_common():
        table.add_row(escape(name), str(count))
    if not done.objects:
        table.add_row("nothing found", "")
    return table
