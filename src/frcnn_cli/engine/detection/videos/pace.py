"""Which frames of a video are processed: all, every Nth, or as many as the detector can follow."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

from frcnn_proposals.errors import MisuseError

Frame = TypeVar("Frame")
_SECONDS_BETWEEN_LOOKS = 0.1
# A camera that stalls blocks its thread for up to 30 seconds; the program does not wait for it.
_SECONDS_TO_END = 1.0


@dataclass(frozen=True)
class Pace:
    """The choice of frames.

    every: process frame 0 and every Nth frame after it. realtime: drop those of them that arrive
    while the detector is busy. Raises MisuseError if `every` is below 1.
    """

    every: int = 1
    realtime: bool = False

    def __post_init__(self) -> None:
        if self.every < 1:
            raise MisuseError(f"every is {self.every}; it must be at least 1")


ALL_FRAMES = Pace()


class Choice:
    """Decides for each frame of a video file whether it is processed, in the order of the frames.

    rate: frames per second. In real time, frame i arrives i / rate seconds after the first. A frame
    is dropped if the next one that counts has arrived too, and is awaited if it has not arrived.
    dropped: number of dropped frames, without those that `every` skips.
    """

    def __init__(self, pace: Pace, rate: float) -> None:
        self.pace, self.rate, self.dropped = pace, rate, 0
        self._started: float | None = None
        self._was_late = False

    def __call__(self, index: int) -> bool:
        """Whether frame `index` is processed, if the video has it."""
        self.dropped += self._was_late  # the video has the frame before
        self._was_late = False
        if index % self.pace.every:
            return False
        if not self.pace.realtime:
            return True
        if self._started is None:
            self._started = time.monotonic()
        elapsed = time.monotonic() - self._started
        if (index + self.pace.every) / self.rate <= elapsed:
            self._was_late = True
            return False
        if index / self.rate > elapsed:
            time.sleep(index / self.rate - elapsed)
        return True


class Newest(Generic[Frame]):
    """The newest frame of a camera, read by a thread: older ones that nobody took are dropped.

    dropped: their number. An error in `frames` is raised after the last frame.
    """

    def __init__(self, frames: Iterator[Frame]) -> None:
        self.dropped = 0
        self._frame: Frame | None = None
        self._error: BaseException | None = None
        self._ended = False
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, args=(frames,), daemon=True)

    def take(self, is_stopped: Callable[[], bool]) -> Frame | None:
        """Wait for the next frame; None after the last one, or if `is_stopped`."""
        with self._changed:
            if self._thread.ident is None:
                self._thread.start()
            while self._frame is None and not self._ended:
                if is_stopped():
                    return None
                self._changed.wait(_SECONDS_BETWEEN_LOOKS)
            frame, self._frame = self._frame, None
            if frame is None and self._error is not None:
                raise self._error
            return frame

    def close(self) -> bool:
        """End the thread. Returns whether it has ended: a camera that stalls may still block it."""
        with self._changed:
            self._ended = True
        with suppress(RuntimeError):  # it was never started
            self._thread.join(_SECONDS_TO_END)
        return not self._thread.is_alive()

    def _read(self, frames: Iterator[Frame]) -> None:
        error: BaseException | None = None
        try:
            for frame in frames:
                with self._changed:
                    if self._ended:
                        return
                    self.dropped += self._frame is not None
                    self._frame = frame
                    self._changed.notify()
        except BaseException as caught:
            error = caught
        with self._changed:
            self._ended, self._error = True, error
            self._changed.notify()
