"""Tables and lines of results in 80 columns: names that a person types are complete."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from frcnn_cli.commands.shared.console import Output
from frcnn_cli.commands.shared.tables import FoldedTable, make_table

LONG = "roboflow_coco_2024-efficientnet_lite2-17"


def printed(renderable: object) -> str:
    stream = io.StringIO()
    Output(0, Console(file=stream, width=80), Console(quiet=True)).print(renderable)
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
    assert (text.count("n"), text.count("f")) == (151, 91)  # with those of the headings
    assert "…" not in text


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
