"""`frcnn data`: download, generate, list, check and export datasets."""

from __future__ import annotations

import click

from frcnn_cli.commands.shared.lazy_group import LazyGroup

_HERE = "frcnn_cli.commands.data."
_COMMANDS = {
    "download": (_HERE + "download:download", "Fetch a public dataset, check it and unpack it."),
    "check": (_HERE + "check:check", "Read every annotation and image, and list what is wrong."),
    "export": (_HERE + "export:export", "Write ground truth or detections in another format."),
    "generate": (_HERE + "generate:generate", "Write a small dataset of textured shapes."),
    "list": (_HERE + "list:list_command", "Show which datasets are found, and where."),
}


@click.group(cls=LazyGroup, lazy=_COMMANDS)
def data() -> None:
    """Download, generate, list, check and export data sets.

    \b
    frcnn data download voc2007
    frcnn data list
    """
