"""Tables of text and numbers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from rich import box
from rich.console import Console, ConsoleOptions, RenderableType, RenderResult
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

_UNLIMITED = 10_000
_ROOM = 8  # columns for a text of several words or a path, which is broken into lines


class FoldedTable(Table):
    """A table that breaks long texts into lines; Rich's own cuts names that are to be typed.

    Columns with no_wrap keep their texts in one line. If the terminal is too narrow for that, each
    row is printed as a list: its name, then a line per column.
    """

    def add_column(self, *arguments: Any, **options: Any) -> None:
        super().add_column(*arguments, **{"overflow": "fold", **options})

    def add_row(self, *cells: Any, **options: Any) -> None:
        while len(self.columns) < len(cells):
            self.add_column()
        super().add_row(*map(_text, cells), **options)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self._fit(console, options) or not self.show_header:
            yield from super().__rich_console__(console, options)
        else:
            yield from self._as_lists()

    def _fit(self, console: Console, options: ConsoleOptions) -> bool:
        """Set the widths of the columns; False if names or numbers would have to be broken."""
        widths, most = [], []
        for column in self.columns:
            column.width = None
            width = self._measure_column(console, options.update(width=_UNLIMITED), column)
            room = _ROOM + self._get_padding_width(column._index)
            shortest = width.minimum if column.justify == "right" else min(width.minimum, room)
            widths.append(width.maximum if column.no_wrap else shortest)
            most.append(width.maximum)
        spare = options.max_width - self._extra_width - sum(widths)
        if spare < 0:
            return False
        for _ in range(min(spare, sum(most) - sum(widths))):
            growing = [i for i, width in enumerate(widths) if width < most[i]]
            widths[min(growing, key=widths.__getitem__)] += 1
        for column, total in zip(self.columns, widths, strict=True):
            column.width = total - self._get_padding_width(column._index)
        return True

    def _as_lists(self) -> Iterator[RenderableType]:
        if self.title:
            yield _text(self.title)
        columns = [[_text(cell) for cell in column.cells] for column in self.columns]
        if self.show_footer:
            for column, texts in zip(self.columns, columns, strict=True):
                texts += _text(column.footer).split("\n", allow_blank=True)
        headings = [_text(column.header).plain.replace("-\n", "-") for column in self.columns]
        for row in zip(*columns, strict=True):
            for column, heading, text in zip(self.columns, headings, row, strict=True):
                if column is self.columns[0] and column.justify == "left":  # the name of the row
                    text.no_wrap, text.overflow = True, "ignore"
                    yield from [text] if text.plain else []
                elif text.plain:
                    title = f"{' '.join(heading.split())}: " if heading else ""
                    yield Padding(Text.assemble(title, text), (0, 0, 0, 2), expand=False)


def _text(cell: Any) -> Any:
    return Text.from_markup(cell, emoji=False) if isinstance(cell, str) else cell


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
            no_wrap=index == 0 < names,
        )
    for row in rows:
        table.add_row(*map(escape, row))
    return table
