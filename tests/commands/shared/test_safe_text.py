"""Messages cannot control the terminal, and stay short."""

from __future__ import annotations

from frcnn_cli.commands.shared.safe_text import message


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
