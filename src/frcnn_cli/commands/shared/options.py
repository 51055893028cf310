"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from click.types import OptionHelpExtra

from frcnn_cli.commands.shared.paths import (
    FormattedFile,
    JsonFile,
    NamedPath,
    WrittenFile,
    WrittenFolder,
)
from frcnn_proposals.files import unused_file
from frcnn_proposals.images import MAX_PIXELS

Command = TypeVar("Command", bound=Callable[..., Any])
FilePath = NamedPath(dir_okay=False)
OutputFile = WrittenFile()
OutputPath = WrittenFile(dir_okay=True)
OutputFolder = WrittenFolder()
Plot = FormattedFile("png", "pdf", "svg")
Picture = FormattedFile("png", "jpg", "jpeg")
FolderPath = NamedPath(file_okay=False)
AnyPath = NamedPath()


class LiteralDefault(click.Option):
    """An option that shows `show_default` as a value, without Click's parentheses.

    Its `default` is None, so that a command can distinguish a given value from the default.
    """

    def get_help_extra(self, ctx: click.Context) -> OptionHelpExtra:
        extra = super().get_help_extra(ctx)
        extra["default"] = str(self.show_default)
        return extra


def count(
    *names: str, default: int | None = None, show_default: bool | str = True, help: str
) -> Callable[[Command], Command]:
    """Create an option for an integer of at least 1.

    show_default: text to show as the default if `default` is None.
    """
    kind = click.IntRange(min=1)
    return click.option(*names, type=kind, default=default, show_default=show_default, help=help)


def not_empty(_: click.Context, __: click.Parameter, given: str | None) -> str | None:
    """A callback for an option that takes a word or a path. Raises BadParameter if it is empty."""
    if given == "":
        raise click.BadParameter("The name is empty.")
    return given


def _proposals(show_default: str) -> Callable[[Command], Command]:
    return click.option(
        "--proposals",
        type=AnyPath,
        help="Proposal file, in any format that `frcnn proposals inspect` supports.",
        show_default=show_default,
    )


def plot_of_sweep(name: str) -> Callable[[Command], Command]:
    """Create the option for the plot of --sweep. name: of the file, unless it exists."""
    return click.option(
        "--plot",
        type=Plot,
        callback=lambda _, __, given: given or unused_file(Path(name)),
        show_default=f"{name}, or a new number",
        help=".png, .pdf or .svg file for the plot of --sweep.",
    )


data_root = click.option(
    "--data-root",
    type=FolderPath,
    help="Folder of the datasets: VOCdevkit, its parent folder, or the dataset itself.",
    show_default="$FRCNN_DATA, then ./data",
)
proposals = _proposals("computed, then cached")
proposals_of_images = _proposals("computed for each image, not cached")
json_file = click.option(
    "--json",
    "json_path",
    type=JsonFile(),
    help="Write the results to this file as JSON; with -, to standard output in place of tables.",
)
device = click.option(
    "--device",
    default="auto",
    show_default=True,
    help="auto, cpu, cuda or cuda:N. auto uses a GPU if one is available.",
)
workers = count("--workers", show_default="one per core", help="Number of worker processes.")
ray_workers = count(
    "--workers", show_default="one per core", help="Number of worker processes of --engine ray."
)
max_pixels = count(
    "--max-pixels",
    default=MAX_PIXELS,
    help="Reject images with more pixels. Reading an image takes 3 bytes of memory per pixel, up "
    "to 16 if it is transparent.",
)
model = click.option(
    "--model",
    type=AnyPath,
    show_default="newest run, or else voc",
    help="Model file, a run by its folder or name, or a shipped model.",
)
runs_root = click.option(
    "--runs",
    "runs_root",
    type=FolderPath,
    default=Path("runs"),
    show_default=True,
    help="Folder of the training runs.",
)
source = click.option(
    "--source",
    help="Proposal source, used if no file is given; `frcnn propose --list-sources` lists all.",
    show_default="the source of the model's training proposals",
)
parameters = click.option(
    "--param",
    "parameters",
    multiple=True,
    metavar="NAME=VALUE",
    help="Set a parameter of the proposal source. Repeatable.",
)
allow_mismatch = click.option(
    "--allow-mismatch",
    is_flag=True,
    help="Warn instead of stopping if images, annotations and proposals do not match: skip faulty "
    "objects and images without proposals, and clip boxes to their image.",
)
corloc = click.option(
    "--corloc",
    is_flag=True,
    help="Also show CorLoc: how often the best box of a class in an image is right. Usually "
    "computed on the training images, with --split trainval.",
)
top_k = count(
    "--top-k",
    show_default="the model's setting, usually 100",
    help="Maximum number of detections per image.",
)
