"""Interface for messages and progress of long work."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

# The counted unit. Bytes are shown as MB; frames and bytes are also shown per second.
Counted = Literal["items", "frames", "bytes"]
# Counts finished items; the text is shown next to the count.
Advance = Callable[[int, str], None]


@dataclass(frozen=True)
class Needs:
    """An estimate of the bytes that the work will write, and the output folder.

    size: a function if it depends on the first items; it is called when they are done.
    """

    size: int | Callable[[], int]
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
        """Yield a function that counts finished items; `done` of `total` were finished before."""
        yield lambda count, status: None


class Silent(Reporter):
    """A reporter that ignores everything."""

    def note(self, text: str) -> None: ...

    def detail(self, text: str) -> None: ...

    def warn(self, text: str) -> None: ...


SILENT = Silent()
