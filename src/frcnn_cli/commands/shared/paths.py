"""One check of all paths that a command reads and writes, before it works."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from frcnn_proposals.errors import InputError, MisuseError
from frcnn_proposals.files import check_writable
from frcnn_proposals.images import SUFFIXES

# Files other than images that are read from a folder: annotations, proposals, a run's progress.
_READ_SUFFIXES = (".xml", ".txt", ".yaml", ".yml", ".jsonl", ".mat", ".npy", ".npz", ".pkl")
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


class WrittenFolder(click.Path):
    """A folder into which the command writes."""

    def __init__(self) -> None:
        super().__init__(path_type=Path, file_okay=False)


def check_paths(context: click.Context) -> None:
    """Raise if a file that the command writes cannot be written, or is one that it reads.

    Written files are the given WrittenFile values; every other value may name an input: a file, a
    folder, a glob, a dataset or a run. In a folder, only files of the kinds that are read
    count: an earlier result there may be replaced. Raises InputError for a file that cannot
    be written, MisuseError for one that is also read, or written twice.
    """
    written = list(_written(context))
    for index, path in enumerate(written):
        check_writable(path)
        if os.path.realpath(path) in map(os.path.realpath, written[:index]):
            raise MisuseError(f"{path}: is given for two outputs. Choose another name.")
    data_root, runs_root = (context.params.get(name) for name in _SEARCHED)
    for path in filter(Path.is_file, written):
        if runs_root is not None and _is_of_run(path) and is_inside(path, runs_root):
            raise MisuseError(f"{path}: belongs to a run. Choose another name or folder.")
        for text in _inputs(context):
            if _reads(text, path, data_root):
                raise MisuseError(
                    f"{path}: is also an input file, or a part of the input {text}; "
                    "choose another name or folder"
                )


def is_inside(path: Path, folder: Path) -> bool:
    """Whether the path, links followed, lies in the folder."""
    root = os.path.realpath(folder)
    return os.path.commonpath([root, os.path.realpath(path)]) == root


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


def _reads(text: str, path: Path, data_root: Path | None) -> bool:
    """Whether the input `text` includes the existing file `path`."""
    if _is_same(text, path):
        return True
    folders = _folders_of(text, data_root)
    if path.suffix.lower() in SUFFIXES:
        # Images may be next to the folder of annotations; those of a list or glob, anywhere.
        if folders and not any(is_inside(path, folder / "..") for folder in folders):
            return False
        return any(_is_same(image, path) for image in _images_of(text, data_root))
    return _is_read_kind(path) and any(is_inside(path, folder) for folder in folders)


def _folders_of(text: str, data_root: Path | None) -> list[Path]:
    """The folder that `text` names, or those of a dataset; none for anything else."""
    from frcnn_cli.engine.datasets.locate import locate

    if Path(text).is_dir():
        return [Path(text)]
    try:
        roots = [located.layout.root for located in locate(text, data_root)]
    except InputError:
        return []
    return [root if root.is_dir() else root.parent for root in roots]


def _images_of(text: str, data_root: Path | None) -> list[str]:
    """The images that `text` names; a run's folder has plots, which are no input."""
    from frcnn_cli.engine.models.store import is_model
    from frcnn_cli.engine.proposals.inputs import find_images

    if is_model(Path(text)):
        return []
    try:
        return [str(image) for _, image in find_images([text], data_root)]
    except InputError:
        return []


def _is_read_kind(path: Path) -> bool:
    if path.suffix.lower() != ".json":
        return path.suffix.lower() in _READ_SUFFIXES or _is_of_run(path)
    import orjson

    try:
        content = orjson.loads(path.read_bytes())
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and not content.keys().isdisjoint(("images", "annotations"))


def _is_of_run(path: Path) -> bool:
    from frcnn_cli.engine.models.store import RUN_FILES

    return path.name in RUN_FILES


def _is_same(one: str, other: Path) -> bool:
    try:
        return os.path.samefile(one, other)
    except (OSError, ValueError):  # one is missing, or no name at all
        return False
