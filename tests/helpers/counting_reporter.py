"""A reporter that records what long work reports to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from frcnn_cli.engine.reporter import Advance, Needs


class Counting:
    """Counts the items of each kind of work, and keeps the notes and warnings."""

    def __init__(self) -> None:
        self.done: dict[str, int] = {}
        self.totals: dict[str, int | None] = {}
        self.notes: list[str] = []
        self.warnings: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def detail(self, text: str) -> None: ...

    def warn(self, text: str) -> None:
        self.warnings.append(text)

    @contextmanager
    def progress(
        self, description: str, total: int | None, done: int = 0, needs: Needs | None = None
    ) -> Iterator[Advance]:
        self.totals[description], self.done[description] = total, done

        def advance(count: int, status: str) -> None:
            self.done[description] += count

        yield advance
