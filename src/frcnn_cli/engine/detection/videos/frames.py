"""Frames of a video file or a camera."""

from __future__ import annotations

import math
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from frcnn_cli.engine.detection.videos.pace import ALL_FRAMES, Choice, Newest, Pace
from frcnn_proposals.base import Image
from frcnn_proposals.errors import InputError
from frcnn_proposals.images import MAX_PIXELS
from frcnn_proposals.wording import counted

_SUFFIXES = ".mp4 .m4v .mov .avi .mkv .webm .mpg .mpeg .ts .wmv .flv .ogv .3gp"
SUFFIXES = frozenset(_SUFFIXES.split(" "))
# A file can be a list of other files or addresses; only formats that contain images are read.
_FORMATS = "mov,mp4,m4a,3gp,3g2,mj2,avi,matroska,webm,mpeg,mpegts,asf,flv,ogg"
_FILE_OPTIONS = f"protocol_whitelist;file|format_whitelist;{_FORMATS}"
# A camera at an address must not make FFmpeg read files of this machine.
_ADDRESS_OPTIONS = (
    "protocol_whitelist;rtsp,rtp,rtmp,rtmps,http,https,tls,tcp,udp|"
    f"format_whitelist;{_FORMATS},mjpeg,mpjpeg,rtsp,rtp,sdp,h264,hevc|rtsp_flags;prefer_tcp"
)
_OPTIONS = "OPENCV_FFMPEG_CAPTURE_OPTIONS"
_CAMERA = re.compile(r"(camera:)?([0-9]{1,3})")
_ADDRESS = re.compile(r"(rtsp|rtmps?|https?|tcp|udp)://\S+", re.IGNORECASE)
_LONGEST_STEM = 60
_MOST_FRAMES = 10**8  # a larger number in the file is not trusted
_USUAL_RATE, LEAST_RATE, _MOST_RATE = 25.0, 0.1, 1000.0
# In some files the number of frames is an estimate: this many may be missing at the end.
_MISSING, _MISSING_PART = 2, 0.02


@dataclass(frozen=True)
class Video:
    """Properties of a video or camera before its frames are read.

    frames: expected number of frames; None if unknown. rate: frames per second. is_camera: whether
    it is a camera or an address, whose frames arrive while they are recorded.
    """

    name: str
    width: int
    height: int
    rate: float
    frames: int | None
    is_camera: bool

    @property
    def stem(self) -> str:
        """The name of its output files, without a suffix."""
        if not self.is_camera:
            return Path(self.name).stem
        return re.sub(r"[^\w.]+", "-", self.name).strip("-.")[:_LONGEST_STEM]


@dataclass(frozen=True)
class Frame:
    """A frame, counted from 0: its RGB pixels (H, W, 3), and seconds since the first."""

    index: int
    seconds: float
    image: Image


class Frames(Iterator[Frame]):
    """The chosen frames of a video or camera.

    is_stopped: ends the iteration, also while it waits for a frame of a camera in real time.
    """

    def __init__(self, read: Iterator[Frame], choice: Choice, newest: Newest[Frame] | None) -> None:
        self.is_stopped: Callable[[], bool] = lambda: False
        self._read, self._choice, self._newest = read, choice, newest

    @property
    def dropped(self) -> int:
        """Number of frames that arrived while the detector was busy."""
        return self._choice.dropped if self._newest is None else self._newest.dropped

    def __next__(self) -> Frame:
        frame = None
        if self._newest is not None:
            frame = self._newest.take(self.is_stopped)
        elif not self.is_stopped():
            frame = next(self._read, None)
        if frame is None:
            raise StopIteration
        return frame


def is_video(text: str, alone: bool = True) -> bool:
    """Whether an argument is a video file (by its suffix) or a camera: its number or address."""
    if is_address(text):
        return True
    return Path(text).suffix.lower() in SUFFIXES or camera_number(text, alone) is not None


def is_address(text: str) -> bool:
    """Whether an argument is the address of a camera, such as rtsp://host/stream."""
    return _ADDRESS.fullmatch(text) is not None


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
    if not is_address(text) and Path(text).suffix and not Path(text).is_file():
        raise InputError(f"{text}: video file not found")


@contextmanager
def opened_video(text: str, pace: Pace = ALL_FRAMES) -> Iterator[tuple[Video, Frames]]:
    """Open a video file or a camera (`0`, `camera:0` or an address).

    Yields its properties and those of its frames that `pace` chooses. Raises InputError if it does
    not exist, cannot be read, or has too large frames. For a truncated or damaged file, the
    iterator raises it after the last good frame.
    """
    check_video(text)
    camera, at_address = camera_number(text), is_address(text)
    name = _shown(text) if at_address else text if camera is None else f"camera {camera}"
    capture = _capture(text, camera)
    newest = None
    try:
        if not capture.isOpened():
            unreadable = "cannot be read as a video; replace it, or convert it to another format"
            problem = unreadable if camera is None else "not found"
            raise InputError(f"{name}: {'cannot be opened as a camera' if at_address else problem}")
        is_camera = at_address or camera is not None
        video = _described(capture, name, is_camera)
        waits = pace.realtime and not is_camera
        choice = Choice(Pace(pace.every, waits), video.rate)
        read = _frames(capture, video, choice)
        newest = Newest(read) if pace.realtime and is_camera else None
        yield video, Frames(read, choice, newest)
    finally:
        if newest is None or newest.close():
            capture.release()


def _shown(address: str) -> str:
    """An address without the password and keys that it may contain."""
    return re.split("[?#]", re.sub("//.*@", "//", address))[0]


def _capture(text: str, camera: int | None) -> Any:
    import cv2

    os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # errors are reported by this module
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    if camera is not None:
        return cv2.VideoCapture(camera)
    os.environ[_OPTIONS] = _ADDRESS_OPTIONS if is_address(text) else _FILE_OPTIONS
    try:
        return cv2.VideoCapture(text, cv2.CAP_FFMPEG)
    finally:
        os.environ.pop(_OPTIONS)  # the written video is read with others


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
    if not LEAST_RATE <= rate <= _MOST_RATE:  # also true for NaN
        rate = _USUAL_RATE
    frames = 0 if is_camera else _integer(capture, cv2.CAP_PROP_FRAME_COUNT)
    known = frames if 0 < frames <= _MOST_FRAMES else None
    return Video(name, width, height, float(rate), known, is_camera)


def _integer(capture: Any, property_id: int) -> int:
    value = capture.get(property_id)
    return int(value) if math.isfinite(value) else 0


def _frames(capture: Any, video: Video, is_chosen: Choice) -> Iterator[Frame]:
    import cv2

    started = time.monotonic()
    index = 0
    success: bool
    pixels: Any
    while True:
        # Only chosen frames are converted to pixels.
        is_wanted = is_chosen(index)
        try:
            success, pixels = capture.read() if is_wanted else (capture.grab(), None)
        except cv2.error as error:
            raise InputError(f"{video.name}: frame {index} cannot be read ({error.err})") from error
        if not success:
            break
        if is_wanted:
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
