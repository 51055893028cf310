"""What commands print with: results on stdout, progress and messages on stderr."""

from __future__ import annotations

import json
import os
import tempfile
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
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, partial = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(value, file, indent=2)
            file.write("\n")
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(partial, 0o666 & ~umask)
        os.replace(partial, path)
    except BaseException:
        Path(partial).unlink(missing_ok=True)
        raise
