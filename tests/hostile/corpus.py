"""What a bad input is, and ways to spoil a good one."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Ends = Literal["message", "result", "either"]


@dataclass(frozen=True)
class BadInput:
    """A file or folder that a stranger might send, and the command that is to read it.

    name: category/what. make: writes it into an empty folder. arguments: of the command, which
    runs in that folder; HOME in them is a folder with a data set, a model and a run.
    named: what a message has to name. ends: how the command has to end.
    """

    name: str
    make: Callable[[Path], object]
    arguments: tuple[str, ...]
    named: str
    ends: Ends = "message"


def written(name: str, content: bytes) -> Callable[[Path], object]:
    """Makes a file of this content."""
    return lambda folder: (folder / name).write_bytes(content)


def cuts(content: bytes) -> Iterator[tuple[str, bytes]]:
    """The content cut off at several places."""
    size = len(content)
    for kept in sorted({0, 1, 4, 9, size // 4, size // 2, size - size // 8, size - 1}):
        yield f"cut at {kept} of {size}", content[:kept]


def flips(content: bytes, count: int, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """The content with some bytes changed, those at its start more often than others."""
    source = random.Random(seed)
    for number in range(count):
        spoilt = bytearray(content)
        for _ in range(source.choice((1, 3, 10))):
            end = source.choice((64, 512, len(spoilt)))
            spoilt[source.randrange(min(end, len(spoilt)))] = source.randrange(256)
        yield f"changed {number}", bytes(spoilt)
