"""`frcnn proposals`: inspect, convert, evaluate, merge and draw proposal files."""

from __future__ import annotations

import click

from frcnn_cli.commands.shared.lazy_group import LazyGroup

_COMMANDS = {
    "inspect": ("proposals.inspect:inspect", "Show the format and contents of a proposal file."),
    "convert": ("proposals.convert:convert", "Convert proposals to another format."),
    "recall": ("proposals.recall:recall", "Measure how well proposals cover a dataset's objects."),
    "merge": ("proposals.merge:merge", "Merge proposal stores into one."),
    "draw": ("proposals.draw:draw", "Draw the proposals and objects of an image."),
}


@click.group(cls=LazyGroup, lazy=_COMMANDS)
def proposals() -> None:
    """Inspect, convert, evaluate, merge and draw proposal files.

    \b
    frcnn proposals inspect voc_2007_trainval.mat
    frcnn proposals recall voc2007.proposals --dataset voc2007
    """
