"""Output of commands: results on stdout, progress and messages on stderr."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import wraps
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.markup import escape

from frcnn_cli.commands.shared.estimate import Announcement, Pace
from frcnn_cli.commands.shared.paths import check_paths, is_standard_output
from frcnn_cli.commands.shared.progress import UNITS, LogProgress, bar
from frcnn_cli.commands.shared.safe_text import MessageConsole, PrintableConsole, message
from frcnn_cli.engine.reporter import Advance, Counted, Needs
from frcnn_proposals.errors import InputError
from frcnn_proposals.files import write_whole
from frcnn_proposals.wording import counted

_FAILURES_SHOWN = 3


@dataclass(frozen=True)
class Output:
    """The output of a command. verbosity: -1 quiet, 0 normal, 1 or more for details."""

    verbosity: int = 0
    results: Console = field(default_factory=PrintableConsole)
    messages: Console = field(default_factory=MessageConsole)

    def print(self, renderable: Any) -> None:
        """Print a result: a table, or a line in Rich markup. Printed even when quiet.

        A line is not broken, so that a path in it can be copied.
        """
        self.results.print(renderable, soft_wrap=isinstance(renderable, str), crop=False)

    def print_file(self, line: str) -> None:
        """Print a line in Rich markup with the path of a written file or folder.

        It is printed even when quiet, and to stderr if standard output is for JSON.
        """
        console = self.messages if self.results.quiet else self.results
        console.print(line, soft_wrap=True, crop=False)

    def note(self, text: str) -> None:
        """Print a plain line about the current work, unless quiet."""
        if self.verbosity >= 0:
            self.messages.print(escape(text), highlight=False, soft_wrap=True)

    def note_file(self, content: str, path: Path) -> None:
        """Print a plain line with the path of a written file, unless it is standard output."""
        if not is_standard_output(path):
            self.note(f"{content}: {path}")

    def detail(self, text: str) -> None:
        """Print a plain line with -v only."""
        if self.verbosity >= 1:
            self.messages.print(escape(text), style="dim", highlight=False, soft_wrap=True)

    def warn(self, text: str) -> None:
        """Print a warning: a plain line about a problem that does not stop the work."""
        shown = escape(message(text))
        self.messages.print(f"[yellow]Warning:[/] {shown}", highlight=False, soft_wrap=True)

    @contextmanager
    def progress(
        self,
        description: str,
        total: int | None,
        done: int = 0,
        needs: Needs | None = None,
        unit: Counted = "items",
    ) -> Iterator[Advance]:
        """Show progress and the time left; yields advance(count, text next to the bar).

        done: items that an earlier run finished. needs: what will be written. unit: what is
        counted. Shows a bar on a terminal, prints a line per minute into a log, and prints
        nothing when quiet. Prints an estimate of the total time of long work once it is reliable.
        """
        if self.verbosity < 0:
            yield lambda count, status: None
            return
        shown_as = UNITS[unit]
        pace = Pace(total, done)
        announcement = Announcement(description, pace, needs, shown_as.in_words)
        if self.messages.is_terminal:
            with bar(shown_as, self.messages, pace) as shown:
                task = shown.add_task(description, total=total, completed=done, status="")
                yield self._counting(
                    announcement,
                    lambda count, status: shown.update(task, advance=count, status=status),
                )
        else:
            log = LogProgress(self.note, description, total, done, shown_as, pace)
            yield self._counting(announcement, log.advance)

    def _counting(self, announcement: Announcement, show: Advance) -> Advance:
        """Count items, call `show`, and print the announcement once its time is known."""

        def advance(count: int, status: str) -> None:
            announcement.pace.count(count)
            show(count, status)
            if (line := announcement.line()) is not None:
                self.note(line + ".")

        return advance


SILENT = Output(-1, Console(quiet=True), Console(quiet=True))
_pass_output = click.make_pass_decorator(Output, ensure=True)


def pass_output(command: Callable[..., None]) -> Callable[..., None]:
    """Pass the Output as first argument, once the paths of the command are checked.

    The Output prints no tables if standard output is for JSON.
    """

    @wraps(command)
    def checked(output: Output, /, *arguments: Any, **options: Any) -> None:
        context = click.get_current_context()
        check_paths(context)
        if any(map(is_standard_output, context.params.values())):
            output = replace(output, results=Console(quiet=True))
        command(output, *arguments, **options)

    return _pass_output(checked)


def write_json(path: Path | None, value: Any) -> None:
    """Write `value` as indented JSON, unless path is None; the file appears once complete."""
    if path is not None:
        write_whole(path, (json.dumps(value, indent=2) + "\n").encode())


def raise_failures(messages: Sequence[str], count: int) -> None:
    """Raise InputError with the first messages, if images failed. count: of all failed images."""
    if count:
        more = [f"{counted(count, 'image')} failed in total."] * (count > _FAILURES_SHOWN)
        raise InputError("\n".join([*messages[: _FAILURES_SHOWN - len(more)], *more]))
