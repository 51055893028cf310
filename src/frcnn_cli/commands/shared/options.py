"""Options that several commands share, each written once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from frcnn_proposals.files import check_writable
from frcnn_proposals.images import MAX_PIXELS

Command = TypeVar("Command", bound=Callable[..., Any])
FilePath = click.Path(path_type=Path, dir_okay=False)


class _OutputFile(click.Path):
    """A file to be written at the end; where that cannot be, it is said before the work."""

    def __init__(self) -> None:
        super().__init__(path_type=Path, dir_okay=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not str(value):
            self.fail("A file's name is missing.", param, ctx)
        path: Path = super().convert(value, param, ctx)  # type: ignore[assignment]
        check_writable(path)
        return path


OutputFile = _OutputFile()
FolderPath = click.Path(path_type=Path, file_okay=False)
AnyPath = click.Path(path_type=Path)


def count(*names: str, default: int | None = None, help: str) -> Callable[[Command], Command]:
    """An option that takes a whole number from 1."""
    kind = click.IntRange(min=1)
    return click.option(*names, type=kind, default=default, show_default=True, help=help)


data_root = click.option(
    "--data-root",
    type=FolderPath,
    help="Folder of the data sets: VOCdevkit, the folder above it, or the data set itself. "
    "Default: $FRCNN_DATA, then ./data.",
)
proposals = click.option(
    "--proposals",
    type=AnyPath,
    help="File of proposals, in any format that `frcnn proposals inspect` knows. "
    "Default: computed, and kept in the cache.",
)
json_file = click.option(
    "--json", "json_path", type=OutputFile, help="Write the results there as JSON."
)
device = click.option(
    "--device",
    default="auto",
    show_default=True,
    help="auto, cpu, cuda or cuda:N. auto takes a GPU where there is one.",
)
workers = count("--workers", help="Worker processes. Default: one per core.")
max_pixels = count(
    "--max-pixels",
    default=MAX_PIXELS,
    help="An image of more is refused. Reading one takes 3 bytes of memory a pixel, and up to "
    "16 where it is transparent.",
)
runs_root = click.option(
    "--runs",
    "runs_root",
    type=FolderPath,
    default=Path("runs"),
    show_default=True,
    help="Folder in which runs are kept.",
)
source = click.option(
    "--source",
    help="Where proposals come from when no file is given; `frcnn propose --list-sources` "
    "shows all. Default: where the model's came from.",
)
allow_mismatch = click.option(
    "--allow-mismatch",
    is_flag=True,
    help="Warn instead of stopping where images, annotations and proposals do not match: skip "
    "faulty objects and images without proposals.",
)
top_k = count("--top-k", help="Detections kept per image. Default: the model's, usually 100.")
