"""Reporters that record their calls."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from frcnn_cli.engine.reporter import Advance, Silent


class RecordingReporter(Silent):
    """A reporter that records notes, warnings and progress.

    notes, warnings: lines. counts: (done, total) after each item of the latest progress.
    on_advance: called after each item; it may raise, as Ctrl-C does.
    """

    def __init__(self, on_advance: Callable[[], None] = lambda: None) -> None:
        self.notes: list[str] = []
        self.warnings: list[str] = []
        self.counts: list[tuple[int, int | None]] = []
        self.on_advance = on_advance

    def note(self, text: str) -> None:
        self.notes.append(text)

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    @contextmanager
    def progress(
        self, description: str, total: int | None, done: int = 0, *details: Any, **named: Any
    ) -> Iterator[Advance]:
        self.counts = []
        finished = done

        def advance(count: int, status: str) -> None:
            nonlocal finished
            finished += count
            self.counts.append((finished, total))
            self.on_advance()

        yield advance
