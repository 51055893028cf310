"""`frcnn config`: the effective settings, and where each comes from."""

from __future__ import annotations

import click

from frcnn_cli.commands.config_show import show


@click.group()
def config() -> None:
    """Show the effective settings, and where each comes from.

    \b
    frcnn config show voc2007 --preset paper-l
    """


config.add_command(show)
