"""Progress of long work, reported to one function of the caller."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

from frcnn_cli.engine.reporter import SILENT, Advance, Counted, Needs, Reporter


@dataclass(frozen=True)
class Progress:
    """One report of long work. As a string it is one line, so that `progress=print` works.

    kind: `progress` counts items; `note`, `detail` and `warning` are messages. text: the message,
    or the name of the work. done, total: finished items, and all items, if known.
    status: a text about the last item, such as the loss of a training step.
    """

    kind: Literal["progress", "note", "detail", "warning"]
    text: str
    done: int = 0
    total: int | None = None
    status: str = ""

    def __str__(self) -> str:
        if self.kind != "progress":
            return f"Warning: {self.text}" if self.kind == "warning" else self.text
        of_total = "" if self.total is None else f" of {self.total}"
        line = f"{self.text}: {self.done}{of_total}"
        return f"{line}, {self.status}" if self.status else line


# Called with each report; an exception that it raises stops the work.
OnProgress = Callable[[Progress], None]


class CallbackReporter(Reporter):
    """A reporter that passes everything to one function."""

    def __init__(self, callback: OnProgress) -> None:
        self.callback = callback

    def note(self, text: str) -> None:
        """Pass on a step of the work."""
        self.callback(Progress("note", text))

    def detail(self, text: str) -> None:
        """Pass on a detail."""
        self.callback(Progress("detail", text))

    def warn(self, text: str) -> None:
        """Pass on a problem that does not stop the work."""
        self.callback(Progress("warning", text))

    @contextmanager
    def progress(
        self,
        description: str,
        total: int | None,
        done: int = 0,
        needs: Needs | None = None,
        unit: Counted = "items",
    ) -> Iterator[Advance]:
        """Passes on each count of finished items."""

        def advance(count: int, status: str) -> None:
            nonlocal done
            done += count
            self.callback(Progress("progress", description, done, total, status))

        yield advance


def reporter_for(progress: OnProgress | None) -> Reporter:
    """The engine's reporter for a callback; None ignores everything."""
    return SILENT if progress is None else CallbackReporter(progress)
