"""What long work reports while it runs: to a command's output, to a notebook, or to nobody."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

# What is counted: a bar shows bytes as MB, and how many frames or bytes per second are done.
Counted = Literal["items", "frames", "bytes"]
# Counts items that are done, with a text to show beside the count.
Advance = Callable[[int, str], None]


@dataclass(frozen=True)
class Needs:
    """What the work will write, in bytes (an estimate), and the folder it goes to."""

    size: int
    folder: Path


class Reporter(Protocol):
    """Receives the words and the progress of long work; texts are plain, without markup."""

    def note(self, text: str) -> None:
        """A line about what is being done."""

    def detail(self, text: str) -> None:
        """A line for who wants to know more."""

    def warn(self, text: str) -> None:
        """A line about something that is wrong but does not stop the work."""

    @contextmanager
    def progress(
        self,
        description: str,
        total: int | None,
        done: int = 0,
        needs: Needs | None = None,
        unit: Counted = "items",
    ) -> Iterator[Advance]:
        """Yields what counts items that are done; `done` of `total` were done before."""
        yield lambda count, beside: None


class Silent(Reporter):
    """A reporter that says nothing."""

    def note(self, text: str) -> None: ...

    def detail(self, text: str) -> None: ...

    def warn(self, text: str) -> None: ...


SILENT = Silent()
