"""Progress of long work: a bar on a terminal, a line per minute in a log."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from rich.console import Console, RenderableType
from rich.progress import BarColumn, Progress, ProgressColumn, Task
from rich.table import Table
from rich.text import Text

from frcnn_cli.commands.shared.estimate import Pace, in_bytes, in_words
from frcnn_cli.engine.reporter import Counted
from frcnn_proposals.wording import rate_of

_SHORTEST_BAR, _LONGEST_BAR = 8, 40  # columns


@dataclass(frozen=True)
class Unit:
    """A unit of progress.

    in_words: formats a count. rate: formats a count per second; None shows no rate.
    """

    in_words: Callable[[int], str] = str
    rate: Callable[[float], str] | None = None


ITEMS = Unit()
FRAMES = Unit(rate=lambda speed: rate_of(speed, "frame"))
BYTES = Unit(in_bytes, lambda speed: f"{in_bytes(round(speed))}/s")
UNITS: dict[Counted, Unit] = {"items": ITEMS, "frames": FRAMES, "bytes": BYTES}


class _NumbersColumn(ProgressColumn):
    """Column of the amount, the mean rate over the last 30 seconds, and the times.

    Without a total, nothing is known of the time left.
    """

    def __init__(self, unit: Unit, pace: Pace) -> None:
        super().__init__()
        self.unit, self.pace = unit, pace

    def render(self, task: Task) -> Text:
        """Format them; the rate is omitted until it is known."""
        parts, done = [], self.unit.in_words(int(task.completed))
        if task.total is not None:
            parts.append(f"{done}/{self.unit.in_words(int(task.total))}")
        elif task.completed:
            parts.append(done)
        if self.unit.rate is not None and task.speed is not None:
            parts.append(self.unit.rate(task.speed))
        parts.append(f"elapsed {_clock(task.elapsed or 0)}")
        if task.total is not None:
            seconds = self.pace.seconds_left
            parts.append(f"left {'-:--:--' if seconds is None else _clock(seconds)}")
        return Text(" ".join(parts))


def _clock(seconds: float) -> str:
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}"


class _WordedProgress(Progress):
    """Progress of a task in one line, and its field `status` on the next one.

    Without a total, a bar shows nothing, and the status is in the same line. Terminals that have no
    room for a bar get lines that are broken between words.
    """

    def get_renderables(self) -> Iterable[RenderableType]:
        """Yield the line of each task, then its text."""
        (numbers,) = self.columns
        assert isinstance(numbers, ProgressColumn)
        for task in self.tasks:
            title, values = Text(task.description), numbers(task)
            assert isinstance(values, Text)
            room = self.console.width - title.cell_len - values.cell_len - 2
            if task.total is None and task.fields["status"]:
                status = Text(task.fields["status"], style="dim")
                yield Text.assemble(title, " ", values, "  ", status)
                continue
            if room < _SHORTEST_BAR:
                yield Text.assemble(title, " ", values)
            else:
                line = Table.grid(padding=(0, 1))
                line.add_row(title, BarColumn(min(_LONGEST_BAR, room))(task), values)
                yield line
            if task.fields["status"]:
                yield Text(task.fields["status"], style="dim")


def bar(unit: Unit, console: Console, pace: Pace) -> Progress:
    """Create a bar that counts in `unit`, for one task with a field `status`.

    pace: of the task; it counts the same items.
    """
    return _WordedProgress(_NumbersColumn(unit, pace), console=console, transient=True)


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
