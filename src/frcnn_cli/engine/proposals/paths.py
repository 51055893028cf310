"""One check of all paths that a piece of work reads and writes, before it starts."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from pathlib import Path

from frcnn_proposals.errors import InputError, MisuseError
from frcnn_proposals.files import check_writable
from frcnn_proposals.images import SUFFIXES
from frcnn_proposals.reading import read_utf8

# Files other than images that are read from a folder: annotations, proposals, a run's progress.
_READ_SUFFIXES = (".xml", ".txt", ".yaml", ".yml", ".jsonl", ".mat", ".npy", ".npz", ".pkl")


def check_outputs(
    written: Sequence[Path],
    inputs: Collection[str],
    data_root: Path | None = None,
    runs_root: Path | None = None,
    folders: Iterable[Path] = (),
) -> None:
    """Raise if a file of `written` cannot be written, or is one that is read.

    inputs: files, folders, globs, datasets and runs; other texts do no harm. In a folder, only
    files of the kinds that are read count: an earlier result there may be replaced. data_root,
    runs_root: folders in which inputs are found by name; not everything in them is read.
    folders: output folders. Raises InputError for a file or folder that cannot be
    written, MisuseError for a file that is also read, or written twice.
    """
    for folder in folders:
        check_writable(folder, is_folder=True)
    for index, path in enumerate(written):
        check_writable(path)
        if os.path.realpath(path) in map(os.path.realpath, written[:index]):
            raise MisuseError(f"{path}: is given for two outputs. Choose another name.")
    for path in filter(Path.is_file, written):
        if runs_root is not None and _is_of_run(path) and is_inside(path, runs_root):
            raise MisuseError(f"{path}: belongs to a run. Choose another name or folder.")
        for text in inputs:
            if _reads(text, path, data_root):
                raise MisuseError(
                    f"{path}: is also an input file, or a part of the input {text}; "
                    "choose another name or folder"
                )


def is_inside(path: Path, folder: Path) -> bool:
    """Whether the path, links followed, lies in the folder."""
    root = os.path.realpath(folder)
    return os.path.commonpath([root, os.path.realpath(path)]) == root


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
    from frcnn_cli.engine.datasets.inputs import find_images
    from frcnn_cli.engine.models.store import is_model

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
        content = orjson.loads(read_utf8(path))
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
