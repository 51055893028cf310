"""Generate the reference of all commands from the commands themselves.

`python -m frcnn_cli.reference docs/commands.md` writes the page.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from frcnn_cli.cli import ENVIRONMENT, EXIT_CODES, cli
from frcnn_proposals.files import write_whole

_HEAD = """# Commands

This page is generated from the commands by `make reference`; a test checks that it is current.
`frcnn COMMAND --help` prints the same text.
"""


def reference() -> str:
    """Return the whole page as Markdown."""
    parts = [_HEAD]
    for path, command, context in commands_below(cli, click.Context(cli, info_name="frcnn")):
        parts += [f"## {path}\n", *_describe(command, context)]
    for title, rows in (("Exit codes", EXIT_CODES), ("Environment", ENVIRONMENT)):
        lines = [f"| `{name}` | {text} |" for name, text in rows.items()]
        parts.append("\n".join([f"## {title}\n", "| | |", "|---|---|", *lines, ""]))
    return "\n".join(parts)


def commands_below(
    command: click.Command, context: click.Context
) -> Iterator[tuple[str, click.Command, click.Context]]:
    """Yield a command and all its subcommands: (full name, command, context)."""
    yield context.command_path, command, context
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            inner_context = click.Context(inner, info_name=name, parent=context)
            yield from commands_below(inner, inner_context)


def _describe(command: click.Command, context: click.Context) -> Iterator[str]:
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    yield f"```\n{usage}\n```\n"
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        if paragraph.startswith("\b\n"):
            yield f"```\n{paragraph[2:]}\n```\n"
        else:
            yield f"{' '.join(paragraph.split())}\n"
    options = [param for param in command.params if isinstance(param, click.Option)]
    records = filter(None, (option.get_help_record(context) for option in options))
    rows = [f"| `{_cell(name)}` | {_cell(text)} |" for name, text in records]
    if rows:
        yield "\n".join(["| option | |", "|---|---|", *rows, ""])


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit("Usage: python -m frcnn_cli.reference FILE")
    write_whole(Path(sys.argv[1]), reference().encode())
