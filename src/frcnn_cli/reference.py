"""Generate the reference of all commands, and the tables of models in another page.

`python -m frcnn_cli.reference docs/commands.md docs/models.md` writes the first page, and replaces
the tables of the second.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

import click

from frcnn_cli.cli import ENVIRONMENT, EXIT_CODES, cli
from frcnn_cli.commands.model.list import LEGEND, figures
from frcnn_cli.engine.models.shipped.table import list_models
from frcnn_proposals.files import write_whole

_MODELS = "<!-- Tables that `make reference` writes. -->"
_END_OF_MODELS = "<!-- End of the tables. -->"
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


def with_models(page: str) -> str:
    """Return a page with its tables of models replaced by current ones."""
    before, _, rest = page.partition(_MODELS)
    _, end, after = rest.partition(_END_OF_MODELS)
    return "".join([before, _MODELS, "\n\n", "\n".join(_models()), "\n", end, after])


def _models() -> Iterator[str]:
    models = list_models()
    headings = [" ".join(heading.replace("-\n", "").split()) for heading in figures(models[0])]
    yield f"| name | | backbone | {' | '.join(headings)} |"
    yield "|---|---|---|" + "---:|" * len(headings)
    for model in models:
        cells = [f"`{model.name}`", model.summary, f"`{model.backbone}`", *figures(model).values()]
        yield f"| {' | '.join(map(_cell, cells))} |"
    yield f"\n{LEGEND}\n"
    yield from ("| name | command that creates it |", "|---|---|")
    yield from (f"| `{model.name}` | `{model.command}` |" for model in models)
    for model in models:
        if model.card:
            yield from (f"\n## Model card of `{model.name}`\n", "| | |", "|---|---|")
            yield from (f"| {_cell(name)} | {_cell(text)} |" for name, text in model.card.items())


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1].startswith("-"):
        sys.exit("Usage: python -m frcnn_cli.reference COMMANDS_PAGE MODELS_PAGE")
    write_whole(Path(sys.argv[1]), reference().encode())
    models_page = Path(sys.argv[2])
    write_whole(models_page, with_models(models_page.read_text(encoding="utf-8")).encode())
