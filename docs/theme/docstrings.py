"""A griffe extension for this project's docstrings: argument descriptions become lists.

A description is a line such as `boxes: float32 (N, 4)`, with indented lines that continue it.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

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
    lines = []
    for line in paragraph.splitlines():
        if found := DESCRIPTION.match(line):
            lines.append(f"- **{found[1]}**: {line[found.end() :]}")
        else:
            lines.append(f"    {line.strip()}")
    return "\n".join(lines)
