"""`frcnn data`: download, generate, list, check, split and export datasets."""

from __future__ import annotations

import click

from frcnn_cli.commands.shared.lazy_group import LazyGroup

_COMMANDS = {
    "download": ("data.download:download", "Download a public dataset, verify it and unpack it."),
    "check": ("data.check:check", "Read every annotation and image, and list the problems."),
    "export": ("data.export:export", "Write ground truth or detections in another format."),
    "generate": ("data.generate:generate", "Write a small dataset of textured shapes."),
    "split": ("data.split:split", "Divide the images into two lists, for training and val."),
    "list": ("data.list:list_command", "List the datasets that are found, and their folders."),
}


@click.group(cls=LazyGroup, lazy=_COMMANDS)
def data() -> None:
    """Download, generate, list, check, split and export datasets.

    \b
    frcnn data download voc2007
    frcnn data list
    """
