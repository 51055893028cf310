"""`frcnn model`: the models known by name, and the layers of a model or a backbone."""

from __future__ import annotations

import click

from frcnn_cli.commands.shared.lazy_group import LazyGroup

_COMMANDS = {
    "list": ("model.list:list_command", "List the models known by name."),
    "info": ("model.info:info", "Show the layers of a model or a backbone."),
}


@click.group(cls=LazyGroup, lazy=_COMMANDS)
def model() -> None:
    """List the models known by name, and show the layers of a model or a backbone.

    \b
    frcnn model list
    frcnn model info vgg16
    """
