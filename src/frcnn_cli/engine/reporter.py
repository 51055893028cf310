"""Progress reports of long work: to a command's output, to a notebook, or to nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

# The unit that is counted: a bar shows bytes as MB, and frames or bytes also per second.
Counted = Literal["items", "frames", "bytes"]
# Counts items that are done, with a text to show beside the count.
Advance = Callable[[int, str], None]


@dataclass(frozen=True)
class Needs:
    """What the work will write, in bytes (an estimate), and the folder it goes to."""

    size: int
    folder: Path


class Reporter(Protocol):
    """Receives messages and progress of long work; texts are plain, without markup."""

    def note(self, text: str) -> None:
        """Report a step of the work, in one line."""

    def detail(self, text: str) -> None:
        """Report a detail, in one line."""

    def warn(self, text: str) -> None:
        """Report a problem that does not stop the work."""

    @contextmanager
    def progress(
        self,
        description: str,
        total: int | None,
        done: int = 0,
        needs: Needs | None = None,
        unit: Counted = "items",
    ) -> Iterator[Advance]:
        """Yields a function that counts finished items; `done` of `total` were finished before."""
        yield lambda count, beside: None


class Silent(Reporter):
    """A reporter that ignores everything."""

    def note(self, text: str) -> None: ...

    def detail(self, text: str) -> None: ...

    def warn(self, text: str) -> None: ...


SILENT = Silent()
