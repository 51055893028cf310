"""A griffe extension for this project's docstrings: argument descriptions become lists.

A description is `boxes: float32 (N, 4)`, at the start of a line or after a full stop. Lines that
follow continue it.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

AFTER_STOP = re.compile(r"(?<=\.)\s+(?=[a-z_]\w*: \S)")
OUTCOME = re.compile(r"(?<=\.)\s+(?=(?:Raises|Returns) )")
DESCRIPTION = re.compile(r"([a-z_]\w*(?:(?:, | and )[a-z_]\w*)*): (?=\S)")


class DescriptionLists(griffe.Extension):
    """Turns each paragraph of descriptions into a Markdown list."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring:
            paragraphs = obj.docstring.value.split("\n\n")
            obj.docstring.value = "\n\n".join(map(as_list, paragraphs))


def as_list(paragraph: str) -> str:
    """The paragraph as a list if it begins with a description, otherwise unchanged."""
    if not DESCRIPTION.match(paragraph):
        return paragraph
    described, *outcome = OUTCOME.split(paragraph, maxsplit=1)
    lines = []
    for line in AFTER_STOP.sub("\n", described).splitlines():
        if found := DESCRIPTION.match(line):
            lines.append(f"- **{found[1]}**: {line[found.end() :]}")
        else:
            lines.append(f"    {line.strip()}")
    return "\n\n".join(["\n".join(lines), *outcome])
