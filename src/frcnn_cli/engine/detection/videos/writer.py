"""Write a video that plays in the time of its input."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import cv2

from frcnn_cli.engine.detection.videos.frames import LEAST_RATE, Frame, Video
from frcnn_proposals.base import Image
from frcnn_proposals.errors import InputError
from frcnn_proposals.files import unfinished_file

_CODEC = "mp4v"  # MPEG-4, which every build of OpenCV can write
# If a camera stalls, its last frame is repeated for at most this time, in seconds.
_LONGEST_PAUSE = 10.0

Write = Callable[[Frame, Image], None]


@contextmanager
def video_file(path: Path, video: Video, every: int = 1) -> Iterator[Write]:
    """Open a video for writing; yields a function that writes the image (H, W, 3) of a frame.

    Images are RGB and have the size of `video`. The rate is that of `video`, divided by `every`.
    Frames are repeated in place of dropped ones, and those of a slow camera, so that the video
    plays in real time. The file gets its name when the block ends without an error; a file
    without frames is removed. Raises InputError if the video cannot be written completely.
    """
    rate = max(video.rate / every, LEAST_RATE)
    size = (video.width, video.height)
    codec = cv2.VideoWriter.fourcc(*_CODEC)
    written = 0

    def write(frame: Frame, image: Image) -> None:
        nonlocal written
        bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
        for _ in range(_copies(frame, written, rate)):
            writer.write(bgr)
            written += 1

    with unfinished_file(path) as partial:
        writer = cv2.VideoWriter(str(partial), cv2.CAP_FFMPEG, codec, rate, size)
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


def _copies(frame: Frame, written: int, rate: float) -> int:
    due = round(frame.seconds * rate) + 1 - written
    return min(max(1, due), round(_LONGEST_PAUSE * rate) + 1)


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
