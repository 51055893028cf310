"""`frcnn model`: what a model is."""

from __future__ import annotations

import click

from frcnn_cli.commands.model_info import info


@click.group("model", short_help="Show what a model or a backbone is made of.")
def model() -> None:
    """Show what a model or a backbone is made of.

    \b
    frcnn model info
    frcnn model info vgg16
    """


model.add_command(info)
