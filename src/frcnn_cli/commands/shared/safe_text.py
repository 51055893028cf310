"""Make text from outside, such as names in files, safe to print on a terminal."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Iterable
from contextlib import suppress

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

# Control characters except tab and newline, other line separators, characters that change the
# direction of text, and surrogates, which no encoding can write.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_LONGEST_LINE = 1000


def printable(text: str) -> str:
    """Return `text` with a ? for every character that could control a terminal."""
    return _UNSAFE.sub("?", text)


def message(text: str) -> str:
    """Return `text` as a message: printable, at most three lines, long lines shortened.

    A file name may contain line breaks: all lines between the first and the last are joined.
    """
    first, *rest = printable(text).split("\n")
    lines = [first, " ".join(rest[:-1]), rest[-1]] if len(rest) > 2 else [first, *rest]
    return "\n".join(map(_shortened, lines))


def _shortened(line: str) -> str:
    half = _LONGEST_LINE // 2 - 10
    return line if len(line) <= _LONGEST_LINE else f"{line[:half]} ... {line[-half:]}"


def print_in_any_encoding() -> None:
    """Make standard output and standard error escape the characters that their encoding lacks.

    Otherwise a name outside ASCII would end a command whose output is ASCII, after the work.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # None if it is closed
            # The error is about the position in a file that has become a pipe.
            with suppress(OSError):
                stream.reconfigure(errors="backslashreplace")


class PrintableConsole(Console):
    """A console that replaces control characters in text; only Rich itself can emit them.

    Names between colons, such as `:cat:`, are not replaced by emoji.
    """

    def __init__(self, stderr: bool = False) -> None:
        super().__init__(stderr=stderr, emoji=False)

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=printable(segment.text))


class MessageConsole(PrintableConsole):
    """A console for messages on stderr: work does not stop where they cannot be written.

    A closed terminal, a full disk or a pipe without a reader would otherwise end a command before
    its results, or a training run before its checkpoint.
    """

    def __init__(self) -> None:
        super().__init__(stderr=True)

    def _write_buffer(self) -> None:
        try:
            super()._write_buffer()
        except OSError:
            del self._buffer[:]
