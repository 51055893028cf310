"""Tables of text and numbers."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from rich import box
from rich.markup import escape
from rich.table import Table
from rich.text import Text

_LONGEST_NAME = 48  # that fits into one line of 80 columns beside some numbers


class FoldedTable(Table):
    """A table that breaks long texts into lines; Rich's own cuts names that are to be typed.

    Columns with no_wrap keep their texts in one line up to _LONGEST_NAME, at the cost of others.
    """

    def add_column(self, *arguments: Any, **options: Any) -> None:
        super().add_column(*arguments, **{"overflow": "fold", **options})

    def add_row(self, *cells: Any, **options: Any) -> None:
        texts = [Text.from_markup(cell) if isinstance(cell, str) else cell for cell in cells]
        for column, text in zip(self.columns, texts, strict=False):
            if column.no_wrap and isinstance(text, Text):
                text.no_wrap = False  # of the text itself: it is folded, and not cut
                column.no_wrap = max(map(len, text.plain.splitlines()), default=0) <= _LONGEST_NAME
        super().add_row(*texts, **options)


def make_table(
    title: str | None,
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
    names: int = 1,
    narrow: bool = False,
) -> Table:
    """Create a table of plain text: `names` left-aligned columns, then right-aligned numbers.

    narrow: no frame.
    """
    table = FoldedTable(title=None if title is None else escape(title))
    if narrow:
        table.box, table.padding = box.SIMPLE_HEAD, (0, 1, 0, 0)
    for index, heading in enumerate(headings):
        table.add_column(
            heading,
            justify="left" if index < names else "right",
            no_wrap=index == 0,
        )
    for row in rows:
        table.add_row(*map(escape, row))
    return table
