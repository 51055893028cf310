"""One check of all paths that a command reads and writes, before it works."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path, PosixPath
from typing import Any

import click
from click.core import ParameterSource

from frcnn_cli.engine.distributed.team import team_from_environment
from frcnn_cli.engine.proposals.paths import check_outputs

# Folders in which inputs are found by name; not everything in them is read.
_SEARCHED = ("data_root", "runs_root")
_STANDARD_OUTPUT = ("-", "/dev/stdout", "/dev/fd/1", "/proc/self/fd/1")


class NamedPath(click.Path):
    """A path that is not empty.

    An unset variable of a script results in an empty path, which would be the current folder. A
    default is not checked, since the command may not use it.
    """

    def __init__(self, *, file_okay: bool = True, dir_okay: bool = True) -> None:
        super().__init__(path_type=Path, file_okay=file_okay, dir_okay=dir_okay)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not str(value):
            self.fail("The name is empty.", param, ctx)
        if ctx is not None and param is not None and _is_default(ctx, param):
            return Path(value)
        return super().convert(value, param, ctx)


def _is_default(context: click.Context, parameter: click.Parameter) -> bool:
    return context.get_parameter_source(parameter.name or "") is ParameterSource.DEFAULT


class WrittenFile(NamedPath):
    """A file that the command writes; with dir_okay, possibly a folder."""

    def __init__(self, dir_okay: bool = False) -> None:
        super().__init__(dir_okay=dir_okay)


class JsonFile(WrittenFile):
    """A JSON file that the command writes; `-` is standard output.

    For standard output, the command writes a temporary file, which is copied at its end.
    """

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if str(value) not in _STANDARD_OUTPUT or ctx is None:
            return super().convert(value, param, ctx)
        if team_from_environment().world > 1:
            self.fail(
                "Standard output cannot be used by several processes. Use a file.", param, ctx
            )
        folder = ctx.with_resource(tempfile.TemporaryDirectory(prefix="frcnn-"))
        path = _StandardOutput(folder, "standard output.json")
        ctx.call_on_close(lambda: _copy_to_standard_output(path))
        return path


class _StandardOutput(PosixPath):
    """The temporary file that is copied to standard output at the end of the command."""


def _copy_to_standard_output(path: Path) -> None:
    if path.exists():
        with open(path, "rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer)
            sys.stdout.buffer.flush()


def is_standard_output(path: Any) -> bool:
    """Whether a JsonFile was given as standard output, which then holds nothing else."""
    return isinstance(path, _StandardOutput)


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


class WrittenFolder(NamedPath):
    """A folder into which the command writes."""

    def __init__(self) -> None:
        super().__init__(file_okay=False)


def check_paths(context: click.Context) -> None:
    """Raise if an output file or folder cannot be written, or if an output file is also read.

    Outputs are the given WrittenFile and WrittenFolder values; every other value may name an input.
    """
    data_root, runs_root = (context.params.get(name) for name in _SEARCHED)
    files, folders = list(_given(context, WrittenFile)), _given(context, WrittenFolder)
    check_outputs(files, list(_inputs(context)), data_root, runs_root, folders)


def _given(context: click.Context, kind: type[WrittenFile | WrittenFolder]) -> Iterator[Path]:
    for parameter in context.command.params:
        path = context.params.get(parameter.name or "")
        is_given = isinstance(parameter.type, kind) and not _is_default(context, parameter)
        if is_given and path is not None:
            yield path


def _inputs(context: click.Context) -> Iterator[str]:
    for parameter in context.command.params:
        if parameter.name in _SEARCHED or isinstance(parameter.type, WrittenFile | WrittenFolder):
            continue
        value = context.params.get(parameter.name or "")
        for item in value if isinstance(value, tuple) else (value,):
            if item == "" and isinstance(parameter, click.Argument):
                raise click.UsageError(f"{parameter.human_readable_name}: the name is empty.")
            if isinstance(item, str | Path):
                yield str(item)
