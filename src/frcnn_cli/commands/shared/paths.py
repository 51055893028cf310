"""One check of all paths that a command reads and writes, before it works."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from frcnn_cli.engine.proposals.paths import check_outputs

# Folders in which inputs are found by name; not everything in them is read.
_SEARCHED = ("data_root", "runs_root")


class WrittenFile(click.Path):
    """A file that the command writes; with dir_okay, possibly a folder."""

    def __init__(self, dir_okay: bool = False) -> None:
        super().__init__(path_type=Path, dir_okay=dir_okay)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not str(value):
            self.fail("The file name is empty.", param, ctx)
        return super().convert(value, param, ctx)


class FormattedFile(WrittenFile):
    """A figure or an image that the command writes; its suffix is one of `formats`."""

    def __init__(self, *formats: str) -> None:
        super().__init__()
        self.formats = formats

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        path = super().convert(value, param, ctx)
        if format_of(path) not in self.formats:
            *others, last = (f".{name}" for name in self.formats)
            self.fail(
                f"{path}: the suffix decides the format: {', '.join(others)} or {last}.", param, ctx
            )
        return path


def format_of(path: Path) -> str:
    """The format of a file by its suffix, such as png."""
    return path.suffix.lower().removeprefix(".")


class WrittenFolder(click.Path):
    """A folder into which the command writes."""

    def __init__(self) -> None:
        super().__init__(path_type=Path, file_okay=False)


def check_paths(context: click.Context) -> None:
    """Raise if a file that the command writes cannot be written, or is one that it reads.

    Written files are the given WrittenFile values; every other value may name an input.
    """
    data_root, runs_root = (context.params.get(name) for name in _SEARCHED)
    check_outputs(list(_written(context)), list(_inputs(context)), data_root, runs_root)


def _written(context: click.Context) -> Iterator[Path]:
    for parameter in context.command.params:
        name = parameter.name or ""
        path = context.params.get(name)
        is_given = context.get_parameter_source(name) is not ParameterSource.DEFAULT
        if isinstance(parameter.type, WrittenFile) and is_given and path is not None:
            yield path


def _inputs(context: click.Context) -> Iterator[str]:
    for parameter in context.command.params:
        if parameter.name in _SEARCHED or isinstance(parameter.type, WrittenFile | WrittenFolder):
            continue
        value = context.params.get(parameter.name or "")
        for item in value if isinstance(value, tuple) else (value,):
            if isinstance(item, str | Path):
                yield str(item)
