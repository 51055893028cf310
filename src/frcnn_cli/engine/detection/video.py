"""Frames of a video file or a camera."""

from __future__ import annotations

import math
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frcnn_proposals.base import Image
from frcnn_proposals.errors import InputError
from frcnn_proposals.images import MAX_PIXELS
from frcnn_proposals.wording import counted

_SUFFIXES = ".mp4 .m4v .mov .avi .mkv .webm .mpg .mpeg .ts .wmv .flv .ogv .3gp"
SUFFIXES = frozenset(_SUFFIXES.split(" "))
# A file can be a list of other files or addresses; only formats that contain images are read.
_FFMPEG_OPTIONS = (
    "protocol_whitelist;file|"
    "format_whitelist;mov,mp4,m4a,3gp,3g2,mj2,avi,matroska,webm,mpeg,mpegts,asf,flv,ogg"
)
_CAMERA = re.compile(r"(camera:)?([0-9]{1,3})")
_MOST_FRAMES = 10**8  # a larger number in the file is not trusted
_USUAL_RATE, _LEAST_RATE, _MOST_RATE = 25.0, 0.1, 1000.0
# In some files the number of frames is an estimate: this many may be missing at the end.
_MISSING, _MISSING_PART = 2, 0.02


@dataclass(frozen=True)
class Video:
    """Properties of a video or camera before its frames are read.

    frames: expected number of frames; None if unknown. rate: frames per second.
    """

    name: str
    width: int
    height: int
    rate: float
    frames: int | None
    is_camera: bool


@dataclass(frozen=True)
class Frame:
    """A frame, counted from 0: its RGB pixels (H, W, 3), and seconds since the first."""

    index: int
    seconds: float
    image: Image


def is_video(text: str, alone: bool = True) -> bool:
    """Whether an argument is a video file (by its suffix) or a camera (see `camera_number`)."""
    return Path(text).suffix.lower() in SUFFIXES or camera_number(text, alone) is not None


def camera_number(text: str, alone: bool = True) -> int | None:
    """The number in `camera:0`, or in `0` for the only input; None if this is no camera.

    A file or folder of that name is no camera.
    """
    match = _CAMERA.fullmatch(text)
    if match is None or not (match[1] or alone) or Path(text).exists():
        return None
    return int(match[2])


def check_video(text: str) -> None:
    """Raises InputError if a video file does not exist. A camera is not checked."""
    if Path(text).suffix and not Path(text).is_file():
        raise InputError(f"{text}: video file not found")


@contextmanager
def opened_video(text: str) -> Iterator[tuple[Video, Iterator[Frame]]]:
    """Open a video file, or a camera (`0` or `camera:0`); yields its properties and its frames.

    Raises InputError if it does not exist, cannot be read, or has too large frames. For a
    truncated or damaged file, the iterator raises it after the last good frame.
    """
    check_video(text)
    camera = camera_number(text)
    name = text if camera is None else f"camera {camera}"
    capture = _capture(text, camera)
    try:
        if not capture.isOpened():
            problem = "cannot be read as a video" if camera is None else "not found"
            raise InputError(f"{name}: {problem}")
        video = _described(capture, name, camera is not None)
        yield video, _frames(capture, video)
    finally:
        capture.release()


def _capture(text: str, camera: int | None) -> Any:
    import cv2

    os.environ["OPENCV_FFMPEG_CAPTURE_OPTIONS"] = _FFMPEG_OPTIONS
    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # errors are reported by this module
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    if camera is not None:
        return cv2.VideoCapture(camera)
    return cv2.VideoCapture(text, cv2.CAP_FFMPEG)


def _described(capture: Any, name: str, is_camera: bool) -> Video:
    import cv2

    width = _integer(capture, cv2.CAP_PROP_FRAME_WIDTH)
    height = _integer(capture, cv2.CAP_PROP_FRAME_HEIGHT)
    if not 0 < width * height <= MAX_PIXELS or min(width, height) <= 0:
        raise InputError(
            f"{name}: frames of {width} x {height} pixels are not supported; the limit is "
            f"{MAX_PIXELS} pixels"
        )
    rate = capture.get(cv2.CAP_PROP_FPS)
    if not _LEAST_RATE <= rate <= _MOST_RATE:  # also true for NaN
        rate = _USUAL_RATE
    frames = 0 if is_camera else _integer(capture, cv2.CAP_PROP_FRAME_COUNT)
    known = frames if 0 < frames <= _MOST_FRAMES else None
    return Video(name, width, height, float(rate), known, is_camera)


def _integer(capture: Any, property_id: int) -> int:
    value = capture.get(property_id)
    return int(value) if math.isfinite(value) else 0


def _frames(capture: Any, video: Video) -> Iterator[Frame]:
    import cv2

    started = time.monotonic()
    index = 0
    while True:
        try:
            success, pixels = capture.read()
        except cv2.error as error:
            raise InputError(f"{video.name}: frame {index} cannot be read ({error.err})") from error
        if not success:
            break
        if pixels.shape != (video.height, video.width, 3):
            raise InputError(f"{video.name}: frame {index} has another size than the first")
        seconds = time.monotonic() - started if video.is_camera else index / video.rate
        yield Frame(index, seconds, cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB))
        index += 1
    if video.is_camera:
        raise InputError(f"{video.name}: the camera stopped after {counted(index, 'frame')}")
    if index == 0:
        raise InputError(f"{video.name}: no frame can be read")
    expected = video.frames or 0
    if index < expected - max(_MISSING, _MISSING_PART * expected):
        raise InputError(
            f"{video.name}: is truncated or damaged: it ends after {index} of {expected} frames"
        )
