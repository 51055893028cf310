"""Progress of long work: a bar on a terminal, a line now and then in a log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from rich.console import Console, RenderableType
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from frcnn_cli.commands.shared.estimate import in_bytes
from frcnn_cli.engine.reporter import Counted


@dataclass(frozen=True)
class Unit:
    """What is counted. amount: the bar's column; in_words: a count; rate: one a second, or None
    where the pace is nobody's concern.
    """

    amount: Callable[[], ProgressColumn]
    in_words: Callable[[int], str] = str
    rate: Callable[[float], str] | None = None


ITEMS = Unit(MofNCompleteColumn)
FRAMES = Unit(MofNCompleteColumn, rate=lambda pace: f"{pace:.1f} frames/s")
BYTES = Unit(DownloadColumn, in_bytes, lambda pace: f"{in_bytes(round(pace))}/s")
UNITS: dict[Counted, Unit] = {"items": ITEMS, "frames": FRAMES, "bytes": BYTES}


class _RateColumn(ProgressColumn):
    """The pace over the last half minute, so that it is steady."""

    def __init__(self, rate: Callable[[float], str]) -> None:
        super().__init__()
        self.rate = rate

    def render(self, task: Task) -> Text:
        """Empty until a pace is known."""
        return Text("" if task.speed is None else self.rate(task.speed))


class _WordedProgress(Progress):
    """Bars, and under each its field `beside`, where a narrow terminal has room for it, too."""

    def get_renderables(self) -> Iterable[RenderableType]:
        """The bar of each task, then its words."""
        for task in self.tasks:
            yield self.make_tasks_table([task])
            if task.fields["beside"]:
                yield Text.from_markup(task.fields["beside"], style="dim")


def bar(unit: Unit, console: Console) -> Progress:
    """A bar that counts in `unit`; its tasks have a field `beside`, a text in Rich markup."""
    rate = [] if unit.rate is None else [_RateColumn(unit.rate)]
    return _WordedProgress(
        TextColumn("{task.description}"),
        BarColumn(max(8, min(40, console.width - 50))),
        unit.amount(),
        *rate,
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        console=console,
        transient=True,
    )


class LogProgress:
    """Progress for output that is no terminal: one line every so many seconds."""

    seconds_between = 60.0

    def __init__(
        self,
        note: Callable[[str], None],
        description: str,
        total: int | None,
        done: int,
        unit: Unit = ITEMS,
    ) -> None:
        self.note, self.description, self.total, self.unit = note, description, total, unit
        self.done = self.done_before = done
        self.started = self.last = time.monotonic()

    def advance(self, count: int, beside: str) -> None:
        """Count work done; print where a line is due."""
        self.done += count
        now = time.monotonic()
        if now - self.last < self.seconds_between:
            return
        self.last = now
        line = f"{self.description}: {self.unit.in_words(self.done)}"
        pace = max(1, self.done - self.done_before) / (now - self.started)
        if self.total:
            left = (self.total - self.done) / pace
            line += f" of {self.unit.in_words(self.total)}, {left / 60:.0f} min left"
        if self.unit.rate is not None:
            line += f", {self.unit.rate(pace)}"
        self.note(f"{line}, {beside}" if beside else line)
