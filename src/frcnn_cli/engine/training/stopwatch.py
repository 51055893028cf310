"""How long a step takes, and how much of it is waiting for data."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

Item = TypeVar("Item")


class Stopwatch:
    """Runs from when it is made."""

    def __init__(self) -> None:
        self._started = time.perf_counter()
        self.waited = 0.0

    @property
    def elapsed(self) -> float:
        """Seconds so far."""
        return time.perf_counter() - self._started

    def waiting_for(self, items: Iterable[Item]) -> Iterator[Item]:
        """The same items; what each takes to come counts as waiting."""
        source = iter(items)
        while True:
            asked = time.perf_counter()
            try:
                item = next(source)
            except StopIteration:
                return
            finally:
                self.waited += time.perf_counter() - asked
            yield item
