"""Text from outside, such as names in files, so that it can do nothing to a terminal."""

from __future__ import annotations

import re
from collections.abc import Iterable

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

# Control characters but for the ends of lines, other ends of lines, what turns the direction of
# text, and halves of characters, which no encoding can write.
_ACTING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_LONGEST_LINE = 1000


def printable(text: str) -> str:
    """`text` with a ? for every character that would act on a terminal."""
    return _ACTING.sub("?", text)


def message(text: str) -> str:
    """`text` as a message: printable, of three lines at most, and none of them endless.

    A name may hold line breaks; what stands between the first line and the last becomes one.
    """
    first, *rest = printable(text).split("\n")
    lines = [first, " ".join(rest[:-1]), rest[-1]] if len(rest) > 2 else [first, *rest]
    return "\n".join(map(_shortened, lines))


def _shortened(line: str) -> str:
    half = _LONGEST_LINE // 2 - 10
    return line if len(line) <= _LONGEST_LINE else f"{line[:half]} ... {line[-half:]}"


class PrintableConsole(Console):
    """A console on which only Rich itself, not the text that is printed, can act."""

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=printable(segment.text))
