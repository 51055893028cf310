"""Opening files from outside, which may be none: a pipe has no end, and a device may have none."""

from __future__ import annotations

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path


def is_endless(path: str | Path) -> bool:
    """Whether it is a pipe or a device: neither a file nor a folder, nor nothing."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def open_file(path: str | Path) -> BufferedReader:
    """A file to read from. Raises OSError where there is none, or a pipe or a device."""
    if is_endless(path):
        raise OSError(errno.EINVAL, "it is a pipe or a device, not a file", str(path))
    return open(path, "rb")


def read_bytes(path: str | Path) -> bytes:
    """All of a file. Raises OSError likewise, and where it does not fit into memory."""
    with open_file(path) as file:
        try:
            return file.read()
        except MemoryError as error:
            raise OSError(errno.ENOMEM, "it does not fit into memory", str(path)) from error


def read_text(path: str | Path, encoding: str = "utf-8") -> str:
    """All of a text file, its line ends as they are. Raises UnicodeDecodeError, too."""
    return read_bytes(path).decode(encoding)
