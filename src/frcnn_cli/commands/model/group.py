"""`frcnn model`: what a model or a backbone is made of."""

from __future__ import annotations

import click

from frcnn_cli.commands.shared.lazy_group import LazyGroup

_COMMANDS = {
    "info": ("model.info:info", "Show a model or a backbone layer by layer."),
}


@click.group(
    "model", cls=LazyGroup, lazy=_COMMANDS, short_help="Show what a model or a backbone is made of."
)
def model() -> None:
    """Show what a model or a backbone is made of.

    \b
    frcnn model info
    frcnn model info vgg16
    """
