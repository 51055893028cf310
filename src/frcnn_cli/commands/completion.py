"""`frcnn completion`: print a script for shell completion."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print a script that lets SHELL complete frcnn's commands, options and their values.

    Requires bash 4.4 or later. Add the first line to ~/.bashrc, or the second to ~/.zshrc. The
    third command writes a file that fish loads automatically.

    \b
    eval "$(frcnn completion bash)"
    eval "$(frcnn completion zsh)"
    frcnn completion fish > ~/.config/fish/completions/frcnn.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(ctx.find_root().command, {}, "frcnn", "_FRCNN_COMPLETE").source())
