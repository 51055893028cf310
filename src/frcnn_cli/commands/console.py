"""What commands print with: results on stdout, progress and messages on stderr."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from frcnn_cli.engine.files import write_whole

Advance = Callable[[int, str], None]


@dataclass(frozen=True)
class Output:
    """Where a command's words go. verbosity: -1 quiet, 0 usual, 1 and more for details."""

    verbosity: int = 0
    results: Console = field(default_factory=Console)
    messages: Console = field(default_factory=lambda: Console(stderr=True))

    def print(self, renderable: Any) -> None:
        """A result: a table, or a line in Rich markup. Printed even when quiet."""
        self.results.print(renderable)

    def note(self, text: str) -> None:
        """A plain line about what is being done; not when quiet."""
        if self.verbosity >= 0:
            self.messages.print(escape(text), highlight=False, soft_wrap=True)

    def detail(self, text: str) -> None:
        """A plain line that only -v shows."""
        if self.verbosity >= 1:
            self.messages.print(escape(text), style="dim", highlight=False, soft_wrap=True)

    def warn(self, text: str) -> None:
        """A plain line about something that went wrong but does not stop the work."""
        self.messages.print(f"[yellow]Warning:[/] {escape(text)}", highlight=False, soft_wrap=True)

    @contextmanager
    def progress(self, description: str, total: int | None) -> Iterator[Advance]:
        """A progress bar with the time left; yields advance(count, text beside the bar)."""
        with Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            TextColumn("{task.fields[beside]}", style="dim"),
            console=self.messages,
            disable=self.verbosity < 0,
            transient=True,
        ) as bar:
            task = bar.add_task(description, total=total, beside="")

            def advance(count: int = 1, beside: str = "") -> None:
                bar.update(task, advance=count, beside=escape(beside))

            yield advance


pass_output = click.make_pass_decorator(Output, ensure=True)


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON; the file appears only when it is whole."""
    write_whole(path, (json.dumps(value, indent=2) + "\n").encode())
