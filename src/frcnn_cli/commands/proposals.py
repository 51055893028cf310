"""`frcnn proposals`: inspect, convert, judge, merge and draw proposal files."""

from __future__ import annotations

import importlib

import click

# Subcommand -> its module; imported when it runs, so that help does not wait for torch.
_MODULES = {
    "inspect": "frcnn_cli.commands.proposals_inspect",
    "convert": "frcnn_cli.commands.proposals_convert",
    "recall": "frcnn_cli.commands.proposals_recall",
    "merge": "frcnn_cli.commands.proposals_merge",
    "draw": "frcnn_cli.commands.proposals_draw",
}


class _Subcommands(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _MODULES:
            return None
        command: click.Command = getattr(importlib.import_module(_MODULES[cmd_name]), cmd_name)
        return command


@click.group(cls=_Subcommands)
def proposals() -> None:
    """Inspect, convert, judge, merge and draw proposal files.

    \b
    frcnn proposals inspect voc_2007_trainval.mat
    frcnn proposals recall voc2007.proposals --dataset voc2007
    """
