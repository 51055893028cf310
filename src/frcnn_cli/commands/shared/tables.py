"""Tables of text and numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich import box
from rich.markup import escape
from rich.table import Table


def make_table(
    title: str | None,
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    names: int = 1,
    narrow: bool = False,
) -> Table:
    """Create a table of plain text: `names` left-aligned columns, then right-aligned numbers.

    narrow: no frame, and no line breaks in the first column.
    """
    table = Table(title=None if title is None else escape(title))
    if narrow:
        table.box, table.padding = box.SIMPLE_HEAD, (0, 1, 0, 0)
    for index, heading in enumerate(headings):
        table.add_column(
            heading,
            justify="left" if index < names else "right",
            no_wrap=narrow and index == 0,
        )
    for row in rows:
        table.add_row(*map(escape, row))
    return table
