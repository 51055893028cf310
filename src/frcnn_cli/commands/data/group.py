"""`frcnn data`: download, generate, list, check and export datasets."""

from __future__ import annotations

import click

from frcnn_cli.commands.shared.lazy_group import LazyGroup

_COMMANDS = {
    "download": ("data.download:download", "Fetch a public dataset, check it and unpack it."),
    "check": ("data.check:check", "Read every annotation and image, and list what is wrong."),
    "export": ("data.export:export", "Write ground truth or detections in another format."),
    "generate": ("data.generate:generate", "Write a small dataset of textured shapes."),
    "list": ("data.list:list_command", "Show which datasets are found, and where."),
}


@click.group(cls=LazyGroup, lazy=_COMMANDS)
def data() -> None:
    """Download, generate, list, check and export data sets.

    \b
    frcnn data download voc2007
    frcnn data list
    """
