"""Estimate of the time of long work, from its first items."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable

from frcnn_cli.engine.reporter import Needs

# Enough that the start-up of the first item does not dominate, few enough to be early.
_ITEMS, _SECONDS = 4, 3.0
_SHORTEST_REPORTED = 60.0  # seconds


def room_in_words(needs: Needs) -> str:
    """Describe the disk space that the work needs, and the free space of its folder."""
    folder = needs.folder.resolve()
    while not folder.exists():
        folder = folder.parent
    free = shutil.disk_usage(folder).free
    return f"about {in_bytes(needs.size)} on disk ({in_bytes(free)} free)"


class Estimate:
    """Counter of items; `line` returns the estimate once, when it is reliable and useful."""

    def __init__(
        self,
        description: str,
        total: int | None,
        done: int,
        needs: Needs | None,
        amount: Callable[[int], str] = str,
    ) -> None:
        self.description, self.needs, self.amount = description, needs, amount
        self.left = 0 if total is None else total - done
        self.all = self.left
        self._started = time.monotonic()
        self._first = 0.0  # time at which the first item was done: start-up ends there
        self._announced = total is None

    def line(self, count: int) -> str | None:
        """Count `count` more items. Returns the estimate as a line, or None."""
        if self._announced or count == 0:
            return None
        now = time.monotonic()
        self.left -= count
        done = self.all - self.left
        if not self._first:
            self._first = now
            return None
        if done < _ITEMS or now - self._started < _SECONDS:
            return None
        self._announced = True
        seconds = (now - self._first) / (done - 1) * self.left
        if seconds < _SHORTEST_REPORTED:
            return None
        line = f"{self.description}: {self.amount(self.all)} to do, about {in_words(seconds)}"
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
