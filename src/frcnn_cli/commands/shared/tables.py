"""Tables of text and numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich.markup import escape
from rich.table import Table


def make_table(
    title: str | None,
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    names: int = 1,
    **style: Any,
) -> Table:
    """A table of plain text: `names` columns to the left, then numbers to the right.

    The first column is not wrapped. style: of Rich's Table.
    """
    table = Table(title=None if title is None else escape(title), **style)
    for index, heading in enumerate(headings):
        table.add_column(heading, justify="left" if index < names else "right", no_wrap=index == 0)
    for row in rows:
        table.add_row(*map(escape, row))
    return table
