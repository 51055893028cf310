"""The files in a folder and its subfolders."""

from __future__ import annotations

import os
from pathlib import Path

from frcnn_proposals.errors import InputError


def files_below(folder: str | Path) -> list[str]:
    """The files in a folder and its subfolders; per folder in order of name, before subfolders.

    Names that start with a dot are skipped. Links to folders are followed, unless they lead to a
    folder that contains the link. Each folder is read once, at its own place if it has one.
    Raises InputError for a folder that cannot be read.
    """
    found: list[str] = []
    known: set[str] = set()
    pending = [os.fspath(folder)]
    while pending:
        links: list[str] = []
        for start in pending:
            for root, folders, names in os.walk(start, onerror=_reject):
                real = os.path.realpath(root)
                if real in known:
                    folders.clear()
                    continue
                known.add(real)
                folders[:] = sorted(filter(_is_visible, folders))
                paths = [os.path.join(root, name) for name in folders]
                links += [path for path in paths if _is_followed(path, real)]
                found += [os.path.join(root, name) for name in sorted(filter(_is_visible, names))]
        pending = links
    return found


def _is_visible(name: str) -> bool:
    return not name.startswith(".")


def _is_followed(path: str, parent: str) -> bool:
    """Whether `path`, in the folder `parent`, is a link to a folder that does not contain it."""
    if not os.path.islink(path):
        return False
    target = os.path.realpath(path)
    return os.path.commonpath([target, parent]) != target


def _reject(error: OSError) -> None:
    raise InputError(f"{error.filename}: cannot be read ({error.strerror})") from error
