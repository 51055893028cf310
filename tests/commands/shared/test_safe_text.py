"""Messages cannot control the terminal, and stay short."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console
from rich.markup import escape

from frcnn_cli.commands.shared.console import Output
from frcnn_cli.commands.shared.safe_text import message
from frcnn_cli.commands.shared.tables import make_table


def test_a_message_of_three_lines_is_unchanged() -> None:
    assert message("a: is\nno\nimage") == "a: is\nno\nimage"


def test_the_lines_of_a_name_are_joined() -> None:
    name = "\n".join("abcdefgh")
    assert (
        message(f"{name}: no such file\nLook again") == "a\nb c d e f g h: no such file\nLook again"
    )


def test_control_characters_are_replaced_and_a_long_line_is_shortened() -> None:
    assert message("\x1b]0;title\x07a\rb") == "?]0;title?a?b"
    long = message("first" + "x" * 5_000_000 + "last\nsecond")
    assert len(long) < 2000
    assert long.startswith("first")
    assert long.endswith("last\nsecond")


def test_names_in_colons_are_printed_unchanged(capsys: pytest.CaptureFixture[str]) -> None:
    """Rich replaces :cat: by a picture of a cat, also in an escaped text."""
    for width in (100, 10):  # in 10 columns, rows are printed as lists
        table = make_table(":cat:", ("image", ":dog:"), [(escape(":smile:"), "a:bee:b")])
        output = Output()
        output.results.width = width
        output.print(table)
        output.print_file("File: [bold]:heart:.jpg[/]")
        output.warn(":snake: is missing.")
        with output.progress(":moon:", 1) as advance:
            advance(1, ":car:")
        printed = "".join(capsys.readouterr())
        for name in (":cat:", ":dog:", ":smile:", "a:bee:b", ":heart:.jpg", ":snake:"):
            assert name in printed


def test_the_text_next_to_a_bar_is_plain() -> None:
    terminal = Console(file=io.StringIO(), force_terminal=True, width=100)
    with Output(messages=terminal).progress("Detecting", 1) as advance:
        advance(1, "[x]:car:.jpg")
    assert isinstance(terminal.file, io.StringIO)
    assert "[x]:car:.jpg" in terminal.file.getvalue()


@pytest.mark.parametrize(
    ("encoding", "name"), [("ascii", "猫"), ("ascii:strict", "café"), ("latin-1", "猫")]
)
def test_names_are_printed_in_any_encoding(encoding: str, name: str, tmp_path: Path) -> None:
    folder = tmp_path / name
    (folder / "images").mkdir(parents=True)
    (folder / "labels").mkdir()
    (folder / "classes.txt").write_text(f"{name}\n", encoding="utf-8")
    for arguments, code in (
        (["data", "list", "--data-root", tmp_path], 0),
        (["data", "check", folder], 1),
        (["eval", f"{name}.safetensors"], 2),
    ):
        result = subprocess.run(
            [sys.executable, "-m", "frcnn_cli", *map(str, arguments)],
            capture_output=True,
            env={**os.environ, "PYTHONIOENCODING": encoding, "COLUMNS": "200"},
        )
        output = result.stdout + result.stderr
        assert result.returncode == code, output
        assert b"Traceback" not in output
        escaped = name.encode(encoding.partition(":")[0], "backslashreplace")
        assert escaped in output or name.encode() in output  # Click writes UTF-8 for ASCII
