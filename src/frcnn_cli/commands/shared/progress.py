"""Progress of long work: a bar on a terminal, a line per minute in a log."""

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
)
from rich.text import Text

from frcnn_cli.commands.shared.estimate import Pace, in_bytes, in_words
from frcnn_cli.engine.reporter import Counted


@dataclass(frozen=True)
class Unit:
    """A unit of progress.

    amount: creates the bar's column. in_words: formats a count. rate: formats a count per second;
    None shows no rate.
    """

    amount: Callable[[], ProgressColumn]
    in_words: Callable[[int], str] = str
    rate: Callable[[float], str] | None = None


ITEMS = Unit(MofNCompleteColumn)
FRAMES = Unit(MofNCompleteColumn, rate=lambda speed: f"{speed:.1f} frames/s")
BYTES = Unit(DownloadColumn, in_bytes, lambda speed: f"{in_bytes(round(speed))}/s")
UNITS: dict[Counted, Unit] = {"items": ITEMS, "frames": FRAMES, "bytes": BYTES}


class _RateColumn(ProgressColumn):
    """Column of the mean rate over the last 30 seconds."""

    def __init__(self, rate: Callable[[float], str]) -> None:
        super().__init__()
        self.rate = rate

    def render(self, task: Task) -> Text:
        """Format the rate; empty until it is known."""
        return Text("" if task.speed is None else self.rate(task.speed))


class _TimeLeftColumn(ProgressColumn):
    """Column of the time left; dashes until it is known."""

    def __init__(self, pace: Pace) -> None:
        super().__init__()
        self.pace = pace

    def render(self, task: Task) -> Text:
        """Format the time as hours, minutes and seconds."""
        seconds = self.pace.seconds_left
        if seconds is None:
            return Text("-:--:--", style="progress.remaining")
        minutes, second = divmod(round(seconds), 60)
        hours, minute = divmod(minutes, 60)
        return Text(f"{hours}:{minute:02}:{second:02}", style="progress.remaining")


class _WordedProgress(Progress):
    """Progress bars, each with its field `status` on the next line, which fits narrow terminals."""

    def get_renderables(self) -> Iterable[RenderableType]:
        """Yield the bar of each task, then its text."""
        for task in self.tasks:
            yield self.make_tasks_table([task])
            if task.fields["status"]:
                yield Text.from_markup(task.fields["status"], style="dim")


def bar(unit: Unit, console: Console, pace: Pace) -> Progress:
    """Create a bar that counts in `unit`, for one task with a field `status`, a Rich markup text.

    pace: of the task; it counts the same items.
    """
    rate = [] if unit.rate is None else [_RateColumn(unit.rate)]
    return _WordedProgress(
        TextColumn("{task.description}"),
        BarColumn(max(8, min(40, console.width - 50))),
        unit.amount(),
        *rate,
        TimeElapsedColumn(),
        TextColumn("left"),
        _TimeLeftColumn(pace),
        console=console,
        transient=True,
    )


class LogProgress:
    """Progress for output that is not a terminal: one line every `seconds_between` seconds."""

    seconds_between = 60.0

    def __init__(
        self,
        note: Callable[[str], None],
        description: str,
        total: int | None,
        done: int,
        unit: Unit,
        pace: Pace,
    ) -> None:
        self.note, self.description, self.total, self.unit = note, description, total, unit
        self.pace = pace
        self.done = self.done_before = done
        self.started = self.last = time.monotonic()

    def advance(self, count: int, status: str) -> None:
        """Count finished items; print a line if one is due."""
        self.done += count
        now = time.monotonic()
        if now - self.last < self.seconds_between:
            return
        self.last = now
        line = f"{self.description}: {self.unit.in_words(self.done)}"
        if self.total:
            line += f" of {self.unit.in_words(self.total)}"
        if (seconds := self.pace.seconds_left) is not None:
            line += f", {in_words(seconds)} left"
        if self.unit.rate is not None:
            speed = max(1, self.done - self.done_before) / (now - self.started)
            line += f", {self.unit.rate(speed)}"
        self.note(f"{line}, {status}" if status else line)
