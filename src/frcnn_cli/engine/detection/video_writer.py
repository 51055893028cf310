"""Writing a video, under its name only when it can be played."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2

from frcnn_cli.engine.detection.video import Frame, Video
from frcnn_proposals.base import Image
from frcnn_proposals.errors import InputError

SUFFIX = ".mp4"
_CODEC = "mp4v"  # MPEG-4, which every build of OpenCV's can write
# A camera that has stood still fills at most so much time with its last frame.
_LONGEST_PAUSE = 10.0

Write = Callable[[Frame, Image], None]


@contextmanager
def video_file(path: Path, video: Video) -> Iterator[Write]:
    """A function that writes a frame's picture (H, W, 3), RGB, of the size of `video`.

    A camera's pictures are repeated so that the time in between is right. The file takes its name
    when the block ends well, and one without frames is not kept. Raises InputError where it
    cannot be written, or not whole.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.stem}.partial{path.suffix}")
    size = (video.width, video.height)
    codec = cv2.VideoWriter.fourcc(*_CODEC)
    writer = cv2.VideoWriter(str(partial), cv2.CAP_FFMPEG, codec, video.rate, size)
    written = 0

    def write(frame: Frame, picture: Image) -> None:
        nonlocal written
        bgr = cv2.cvtColor(picture, cv2.COLOR_RGB2BGR)
        for _ in range(_copies(frame, written, video)):
            writer.write(bgr)
            written += 1

    try:
        if not writer.isOpened():
            raise InputError(f"{path}: a video of {size[0]} x {size[1]} cannot be written there")
        yield write
        writer.release()
        if written:
            _check(partial, path, written)
            os.replace(partial, path)
    finally:
        writer.release()
        partial.unlink(missing_ok=True)


def _copies(frame: Frame, written: int, video: Video) -> int:
    if not video.is_camera:
        return 1
    due = round(frame.seconds * video.rate) + 1 - written
    return min(max(1, due), round(_LONGEST_PAUSE * video.rate) + 1)


def _check(partial: Path, path: Path, written: int) -> None:
    """OpenCV does not say that a disk is full: read what is there."""
    capture = cv2.VideoCapture(str(partial), cv2.CAP_FFMPEG)
    try:
        found = capture.get(cv2.CAP_PROP_FRAME_COUNT) if capture.isOpened() else 0
    finally:
        capture.release()
    if found < written:
        raise InputError(
            f"{path}: only {found:.0f} of {written} frames could be written. Is the disk full?"
        )
