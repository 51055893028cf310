"""Tables and lines of results in 80 columns: names that a person types are complete."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from frcnn_cli.commands.shared.console import Output
from frcnn_cli.commands.shared.tables import FoldedTable, make_table

LONG = "roboflow_coco_2024-efficientnet_lite2-17"


def printed(renderable: object, width: int = 80) -> str:
    stream = io.StringIO()
    Output(0, Console(file=stream, width=width), Console(quiet=True)).print(renderable)
    return stream.getvalue()


def test_a_name_stays_in_one_line() -> None:
    row = (LONG, "roboflow_coco_2024 trainval", "lite, scale 512, seed 0", "300 of 9000", "53.1")
    text = printed(make_table(None, ("run", "dataset", "setting", "progress", "mAP"), [row]))
    assert LONG in text
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("narrow", [False, True])
def test_nothing_is_lost_of_longer_names(narrow: bool) -> None:
    name, folder = "n" * 150, "/f" * 90
    text = printed(make_table(None, ("name", "folder"), [(name, folder)], 2, narrow))
    assert name in text.splitlines()
    assert text.count("/f") == 90
    assert "…" not in text


HEADINGS = ("run", "dataset", "setting", "progress", "mAP")
ROWS = [
    ("n" * 70, "shapes train", "lite, scale 512", "300 of 9000", "53.1"),
    ("short",) + ("",) * 4,
]


@pytest.mark.parametrize("width", [30, 40, 80])
def test_rows_with_names_that_do_not_fit_are_printed_as_lists(width: int) -> None:
    lines = printed(make_table("[all]", HEADINGS, ROWS, names=3), width).splitlines()
    assert [line.rstrip() for line in lines] == [
        *("[all]", "n" * 70, "  dataset: shapes train", "  setting: lite, scale 512"),
        *("  progress: 300 of 9000", "  mAP: 53.1", "short"),
    ]


@pytest.mark.parametrize("width", [30, 40, 44, 45, 50, 80])
def test_numbers_are_never_broken(width: int) -> None:
    numbers = ("1,234,567,890", "12.3", "123,456")
    table = make_table(None, ("class", "detec-\ntions", "a", "b"), [("c" * 90, *numbers)])
    table.columns[0].no_wrap = False
    text = printed(table, width)
    assert set(numbers) <= set(text.split())
    if "━" in text:
        assert max(map(len, text.splitlines())) <= width
    else:
        assert "  detec-tions: 1,234,567,890" in text
    assert ("━" in text) == (width >= 45)


def test_sums_are_in_the_lists_too() -> None:
    table = FoldedTable(show_footer=True)
    table.add_column("class", "all\ngain", no_wrap=True)
    table.add_column("right", "18\n", justify="right")
    table.add_row("n" * 70, "7")
    assert printed(table, 40).split() == ["n" * 70, "right:", "7", "all", "right:", "18", "gain"]


@pytest.mark.parametrize("width", [40, 80])
def test_texts_in_a_table_without_headings_are_complete(width: int) -> None:
    table = FoldedTable(show_header=False)
    table.add_row("model", "/f" * 90)
    assert printed(table, width).count("f") == 90


def test_markup_and_several_lines_are_kept() -> None:
    table = FoldedTable()
    table.add_column("a", no_wrap=True)
    table.add_row("[bold]x[/]\ny")
    text = printed(table)
    assert {"x", "y"} <= set(text)
    assert "bold" not in text


def test_a_path_in_a_line_is_not_broken() -> None:
    path = "/folder" * 20
    assert path in printed(f"Model: [bold]{path}[/]")
