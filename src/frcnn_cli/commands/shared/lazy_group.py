"""Command groups that import a command when it runs, so that help loads no libraries."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

import click
from click.shell_completion import CompletionItem

from frcnn_proposals.suggestions import did_you_mean


class LazyGroup(click.Group):
    """A group of lazy commands; an unknown name is an error that suggests the closest match.

    lazy: name -> (`module:attribute` below frcnn_cli.commands, help line).
    """

    def __init__(self, *args: Any, lazy: Mapping[str, tuple[str, str]], **options: Any) -> None:
        super().__init__(*args, **options)
        self.lazy = lazy

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.lazy)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in self.lazy:
            return None
        module, _, attribute = self.lazy[cmd_name][0].partition(":")
        imported = importlib.import_module(f"frcnn_cli.commands.{module}")
        command: click.Command = getattr(imported, attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in self.lazy and not name.startswith("-"):
            listed = f"`{ctx.command_path} --help` lists the commands."
            hint = did_you_mean(name, self.lazy, listed)
            raise click.UsageError(f"Unknown command '{name}'. {hint}", ctx)
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete the names without importing the commands."""
        options = click.Command.shell_complete(self, ctx, incomplete)
        found = ((name, text) for name, (_, text) in self.lazy.items())
        names = [CompletionItem(n, help=text) for n, text in found if n.startswith(incomplete)]
        return [*names, *options]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in self.lazy.items()])
