"""What tells a file of proposals, or a folder of them, from one that holds something else."""

from __future__ import annotations

import hashlib
from pathlib import Path

from frcnn_proposals.errors import InputError
from frcnn_proposals.formats.folder import box_files
from frcnn_proposals.reading import open_file


def proposal_digest(path: Path) -> str:
    """SHA-256 of a proposal file; of a folder, of its files' names and digests.

    Raises InputError where it cannot be read, or the folder has no files of proposals.
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


def _of_file(path: Path) -> str:
    with open_file(path) as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
