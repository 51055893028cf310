"""`frcnn proposals`: inspect, convert, evaluate, merge and draw proposal files."""

from __future__ import annotations

import click

from frcnn_cli.commands.shared.lazy_group import LazyGroup

_HERE = "frcnn_cli.commands.proposals."
_COMMANDS = {
    "inspect": (_HERE + "inspect:inspect", "Show what proposal files hold, and what is wrong."),
    "convert": (_HERE + "convert:convert", "Write proposals in another format."),
    "recall": (_HERE + "recall:recall", "Measure how well proposals cover a dataset's objects."),
    "merge": (_HERE + "merge:merge", "Join stores of proposals into one."),
    "draw": (_HERE + "draw:draw", "Draw an image's proposals and objects."),
}


@click.group(cls=LazyGroup, lazy=_COMMANDS)
def proposals() -> None:
    """Inspect, convert, evaluate, merge and draw proposal files.

    \b
    frcnn proposals inspect voc_2007_trainval.mat
    frcnn proposals recall voc2007.proposals --dataset voc2007
    """
