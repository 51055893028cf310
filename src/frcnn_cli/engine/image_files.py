"""Which image files a command line means: files, folders, globs and lists."""

from __future__ import annotations

import glob
from collections.abc import Sequence
from pathlib import Path

from frcnn_proposals.errors import MisuseError
from frcnn_proposals.images import SUFFIXES


def find_images(arguments: Sequence[str]) -> list[Path]:
    """The image files that `arguments` name, each once, folders in order of name.

    An argument is a file, a folder (its image files, sub-folders too), a glob, or a .txt list
    of paths, one a line, relative to the list. A file that is named is taken whatever its
    suffix. Raises MisuseError for an argument that names nothing.
    """
    found: dict[Path, None] = {}
    for argument in arguments:
        files = _expand(argument)
        if not files:
            raise MisuseError(f"{argument}: there are no images there.")
        found |= dict.fromkeys(files)
    return list(found)


def _expand(argument: str) -> list[Path]:
    path = Path(argument)
    if path.is_dir():
        return [
            file
            for file in sorted(path.rglob("*"))
            if file.suffix.lower() in SUFFIXES and not file.name.startswith(".")
        ]
    if path.is_file():
        return _read_list(path) if path.suffix.lower() == ".txt" else [path]
    matches = sorted(Path(match) for match in glob.glob(argument, recursive=True))
    if not matches:
        raise MisuseError(f"{argument}: there is no such image or folder.")
    return [match for match in matches if match.is_file()]


def _read_list(path: Path) -> list[Path]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise MisuseError(f"{path}: this list of images cannot be read ({error}).") from error
    return [path.parent / line.strip() for line in lines if line.strip()]
