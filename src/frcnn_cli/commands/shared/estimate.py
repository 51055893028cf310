"""Estimate of the time of long work, from its recent items."""

from __future__ import annotations

import shutil
import time
from collections import deque
from collections.abc import Callable
from statistics import median

from frcnn_cli.engine.reporter import Needs

# A time left is known after this many items and seconds; earlier ones depend on chance.
_ITEMS, _SECONDS = 10, 10.0
# Recent laps, and the shortest: a shorter one would depend on when a burst of items finished.
_LAPS, _SHORTEST_LAP = 30, 1.0
_SHORTEST_REPORTED = 60.0  # seconds


def room_in_words(needs: Needs) -> str:
    """Describe the disk space that the work needs, and the free space of its folder."""
    folder = needs.folder.resolve()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    size = needs.size if isinstance(needs.size, int) else needs.size()
    return f"about {in_bytes(size)} on disk ({in_bytes(free)} free)"


class Pace:
    """The time left of long work: the median time per item of recent laps, times the items left.

    An item of at least a second is a lap; shorter ones share a lap, because those of several
    workers finish in bursts. The median ignores pauses for checkpoints and evaluations. The time
    until the first item is finished is start-up, and does not count.
    """

    def __init__(self, total: int | None, done: int = 0) -> None:
        self.left = None if total is None else total - done
        self._counted = 0
        self._first = self._lap_start = 0.0  # times at which an item was finished
        self._in_lap = 0
        self._laps: deque[float] = deque(maxlen=_LAPS)  # seconds per item

    def count(self, count: int) -> None:
        """Count `count` items that have just finished."""
        if count == 0:
            return
        now = time.monotonic()
        self._counted += count
        if self.left is not None:
            self.left -= count
        if self._counted == count:
            self._first = self._lap_start = now
            return
        self._in_lap += count
        if now - self._lap_start >= _SHORTEST_LAP:
            self._laps.append((now - self._lap_start) / self._in_lap)
            self._lap_start, self._in_lap = now, 0

    @property
    def seconds_left(self) -> float | None:
        """The seconds left; None without a total, and until the estimate is reliable."""
        timed = self._lap_start - self._first
        if self.left is None or self._counted < _ITEMS or timed < _SECONDS:
            return None
        return median(self._laps) * max(0, self.left)


class Announcement:
    """The time left and the disk space of long work, in one line as soon as both are known."""

    def __init__(
        self,
        description: str,
        pace: Pace,
        needs: Needs | None = None,
        amount: Callable[[int], str] = str,
    ) -> None:
        self.description, self.pace, self.needs, self.amount = description, pace, needs, amount
        self._is_made = False

    def line(self) -> str | None:
        """The line, once; None before the time is known, and for short work."""
        seconds = self.pace.seconds_left
        if self._is_made or seconds is None or self.pace.left is None:
            return None
        self._is_made = True
        if seconds < _SHORTEST_REPORTED:
            return None
        left = self.amount(self.pace.left)
        line = f"{self.description}: {left} to do, about {in_words(seconds)}"
        return f"{line}, {room_in_words(self.needs)}" if self.needs else line


def in_words(seconds: float) -> str:
    """Format a duration: 40 s, 12 min, 3 h 20 min."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def in_bytes(count: int) -> str:
    """Format a size: 850 kB, 42 MB, 1.7 GB."""
    for unit, size in (("GB", 10**9), ("MB", 10**6)):
        if count >= size:
            value = count / size
            return f"{value:.1f} {unit}" if value < 10 else f"{value:.0f} {unit}"
    return f"{count / 1000:.0f} kB"
