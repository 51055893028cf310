"""A digest that changes with the content of a proposal file or folder."""

from __future__ import annotations

import hashlib
from pathlib import Path

from frcnn_proposals.errors import InputError
from frcnn_proposals.formats.folder import box_files
from frcnn_proposals.reading import open_file


def proposal_digest(path: Path) -> str:
    """SHA-256 of a proposal file, or of the names and digests of the files in a folder.

    Raises InputError if it cannot be read, or if the folder contains no proposal files.
    """
    try:
        if not path.is_dir():
            return _of_file(path)
        whole = hashlib.sha256()
        for file in box_files(path):
            whole.update(f"{file.relative_to(path).as_posix()}\0{_of_file(file)}\n".encode())
        return whole.hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


def proposal_state(path: Path) -> str:
    """Text that changes when a proposal file or a file in a folder is written; reads no content.

    Raises OSError if a file cannot be found.
    """
    files = box_files(path) if path.is_dir() else [path]
    states = ((file.relative_to(path).as_posix(), file.stat()) for file in files)
    lines = (f"{name}\0{state.st_size} {state.st_mtime_ns}\n" for name, state in states)
    return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()


def _of_file(path: Path) -> str:
    with open_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
