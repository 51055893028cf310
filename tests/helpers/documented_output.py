"""Outputs of commands in the documentation, compared with the real outputs."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

from documented import filled

# A command in its own line, followed by a block; and a block with a command and its output.
AFTER = re.compile(r"^    frcnn ([^\n]*)\n\n```\n(.*?)^```", re.M | re.S)
INSIDE = re.compile(r"^```\n\$ frcnn ([^\n]*)\n(.*?)^```", re.M | re.S)
TABLE = re.compile(r"[┃│━─]")
# Lines that differ between runs, or that are printed only on a terminal.
NOT_PRINTED = re.compile(r"^Training: \d|runs/shapes/|cross|triangle")


def outputs(page: Path) -> Iterator[tuple[tuple[str, ...], list[str]]]:
    """Each command with an output on a page, and the lines of that output without `...`."""
    text = page.read_text(encoding="utf-8")
    for line, printed in (*AFTER.findall(text), *INSIDE.findall(text)):
        yield filled(shlex.split(line)), [text for text in printed.splitlines() if text != "..."]


def unprinted(lines: list[str], output: str) -> list[str]:
    """The lines without a similar line in the output; numbers and precisions may differ.

    The width of a column depends on its content, so only the words of a table are compared.
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
    line = line.removesuffix(", in bfloat16")  # of `Model:`, if the device has instructions
    return re.sub(r"\d[\d.,]*", "#", line.replace("bfloat", "float")).strip()


def _words(text: str) -> list[str]:
    return re.findall(r"[A-Za-z_-]+", text)
