"""Options that several commands share, each written once."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from frcnn_proposals.files import check_writable
from frcnn_proposals.images import MAX_PIXELS

Decorated = TypeVar("Decorated", bound=Callable[..., Any])
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


def data_root(function: Decorated) -> Decorated:
    """--data-root"""
    return click.option(
        "--data-root",
        type=FolderPath,
        help="Folder of the data sets: VOCdevkit, the folder above it, or the data set itself. "
        "Default: $FRCNN_DATA, then ./data.",
    )(function)


def proposals(function: Decorated) -> Decorated:
    """--proposals"""
    return click.option(
        "--proposals",
        type=AnyPath,
        help="File of proposals, in any format that `frcnn proposals inspect` knows. "
        "Default: computed, and kept in the cache.",
    )(function)


def json_file(function: Decorated) -> Decorated:
    """--json"""
    return click.option(
        "--json", "json_path", type=OutputFile, help="Write the results there as JSON."
    )(function)


def device(function: Decorated) -> Decorated:
    """--device"""
    return click.option(
        "--device",
        default="auto",
        show_default=True,
        help="auto, cpu, cuda or cuda:N. auto takes a GPU where there is one.",
    )(function)


def workers(function: Decorated) -> Decorated:
    """--workers"""
    return click.option(
        "--workers", type=click.IntRange(min=1), help="Worker processes. Default: one a core."
    )(function)


def max_pixels(function: Decorated) -> Decorated:
    """--max-pixels"""
    return click.option(
        "--max-pixels",
        type=click.IntRange(min=1),
        default=MAX_PIXELS,
        show_default=True,
        help="An image of more is refused. Reading one takes 3 bytes of memory a pixel, and up to "
        "16 where it is transparent.",
    )(function)


def runs_root(function: Decorated) -> Decorated:
    """--runs"""
    return click.option(
        "--runs",
        "runs_root",
        type=FolderPath,
        default=Path("runs"),
        show_default=True,
        help="Folder in which runs are kept.",
    )(function)


def source(function: Decorated) -> Decorated:
    """--source"""
    return click.option(
        "--source",
        help="Where proposals come from when no file is given; `frcnn propose --list-sources` "
        "shows all. Default: where the model's came from.",
    )(function)


def allow_mismatch(function: Decorated) -> Decorated:
    """--allow-mismatch"""
    return click.option(
        "--allow-mismatch",
        is_flag=True,
        help="Go on where proposals and images do not match: images without proposals are "
        "left out, proposals without an image are not used.",
    )(function)


def top_k(function: Decorated) -> Decorated:
    """--top-k"""
    return click.option(
        "--top-k",
        type=click.IntRange(min=1),
        help="Detections kept an image. Default: the model's, usually 100.",
    )(function)
