"""A digest that changes with the content of a proposal file or folder."""

from __future__ import annotations

import hashlib
from pathlib import Path

from frcnn_proposals.errors import InputError
from frcnn_proposals.formats.folder import box_files
from frcnn_proposals.formats.parts.about import ABOUT_FILE, About, is_parts, part_files
from frcnn_proposals.reading import open_file


def proposal_digest(path: Path) -> str:
    """SHA-256 of a proposal file, or of the names and digests of the files in a folder.

    For a folder of parts, it is the digest of their description, and of their names and sizes; the
    names depend on the source and the images. So parts of millions of images are not read. Raises
    InputError if a file cannot be read, or if the folder contains no proposal files.
    """
    try:
        if not path.is_dir():
            return _of_file(path)
        whole = hashlib.sha256()
        if is_parts(path):
            whole.update(About.read(path).to_json())
            for file in part_files(path):
                whole.update(f"{file.name}\0{file.stat().st_size}\n".encode())
            return whole.hexdigest()
        for file in box_files(path):
            whole.update(f"{file.relative_to(path).as_posix()}\0{_of_file(file)}\n".encode())
        return whole.hexdigest()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from error


def proposal_state(path: Path) -> str:
    """Text that changes when a proposal file or a file in a folder is written; reads no content.

    Raises OSError if a file cannot be found, and InputError for parts without a description.
    """
    if not path.is_dir():
        files = [path]
    elif is_parts(path):
        About.read(path)
        files = [path / ABOUT_FILE, *part_files(path)]
    else:
        files = box_files(path)
    states = ((file.relative_to(path).as_posix(), file.stat()) for file in files)
    lines = (f"{name}\0{state.st_size} {state.st_mtime_ns}\n" for name, state in states)
    return hashlib.sha256("".join(lines).encode(errors="surrogateescape")).hexdigest()


def proposal_identity(path: Path) -> str:
    """The absolute path of a proposal file or folder, and its proposal_state; same errors."""
    return f"{path.resolve()} {proposal_state(path)}"


def _of_file(path: Path) -> str:
    with open_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
