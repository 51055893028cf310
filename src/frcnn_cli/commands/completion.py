"""`frcnn completion`: what a shell needs to complete commands and options."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print a script that makes SHELL complete frcnn's commands, options and their values.

    bash 4.4 or later. Put the first line into ~/.bashrc, the second into ~/.zshrc; the third
    writes a file that fish reads by itself.

    \b
    eval "$(frcnn completion bash)"
    eval "$(frcnn completion zsh)"
    frcnn completion fish > ~/.config/fish/completions/frcnn.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(ctx.find_root().command, {}, "frcnn", "_FRCNN_COMPLETE").source())
