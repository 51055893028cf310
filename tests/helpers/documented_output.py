"""What the documentation shows a command to print, and whether it is like what is printed."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from documented import filled

# A command in a line of its own with a block after it, and one in a block with what it prints.
AFTER = re.compile(r"^    frcnn ([^\n]*)\n\n```\n(.*?)^```", re.M | re.S)
INSIDE = re.compile(r"^```\n\$ frcnn ([^\n]*)\n(.*?)^```", re.M | re.S)
TABLE = re.compile(r"[┃│━─]")
# What another run would print otherwise, or only on a terminal.
NOT_PRINTED = re.compile(r"^Training: \d|runs/shapes/|cross|triangle")


def outputs(page: Path) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """The commands that a page shows with what they print, and those lines but for dots."""
    text = page.read_text(encoding="utf-8")
    for line, printed in (*AFTER.findall(text), *INSIDE.findall(text)):
        yield filled(shlex.split(line)), [each for each in printed.splitlines() if each != "..."]


def unprinted(lines: list[str], output: str) -> list[str]:
    """The lines that are not like one of the output; numbers and precisions may differ.

    Columns are as wide as what is in them, so that of a table the words are looked for.
    """
    alike = {_alike(line) for line in output.splitlines()}
    words = set(_words(output))
    return [
        line
        for line in lines
        if not NOT_PRINTED.search(line)
        and not (words.issuperset(_words(line)) if TABLE.search(line) else _alike(line) in alike)
    ]


def _alike(line: str) -> str:
    line = line.removesuffix(", in bfloat16")  # of `Model:`, where the device has instructions
    return re.sub(r"\d[\d.,]*", "#", line.replace("bfloat", "float")).strip()


def _words(text: str) -> list[str]:
    return re.findall(r"[A-Za-z_-]+", text)
