"""Bad inputs, and ways to damage a good one."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Ends = Literal["message", "result", "either"]


@dataclass(frozen=True)
class BadInput:
    """A file or folder from an untrusted source, and the command that reads it.

    name: category/description. make: writes it into an empty folder. arguments: of the command,
    which runs in that folder; HOME in them is a folder with a dataset, its proposals and a model.
    named: the text that a message must contain. ends: how the command must end.
    """

    name: str
    make: Callable[[Path], object]
    arguments: tuple[str, ...]
    named: str
    ends: Ends = "message"


def written(name: str, content: bytes) -> Callable[[Path], object]:
    """Return a function that writes a file with this content."""
    return lambda folder: (folder / name).write_bytes(content)


def cuts(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Yield the content truncated at several places."""
    size = len(content)
    for length in sorted({0, 1, 4, 9, size // 4, size // 2, size - size // 8, size - 1}):
        yield f"cut at {length} of {size}", content[:length]


def flips(content: bytes, count: int, seed: int = 0) -> Iterator[tuple[str, bytes]]:
    """Yield the content with some bytes changed, more often at its start."""
    source = random.Random(seed)
    for number in range(count):
        damaged = bytearray(content)
        for _ in range(source.choice((1, 3, 10))):
            end = source.choice((64, 512, len(damaged)))
            damaged[source.randrange(min(end, len(damaged)))] = source.randrange(256)
        yield f"changed {number}", bytes(damaged)
