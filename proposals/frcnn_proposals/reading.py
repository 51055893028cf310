"""Open files from outside, and reject pipes and devices, which can be endless."""

from __future__ import annotations

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path


def is_endless(path: str | Path) -> bool:
    """Whether `path` exists and is neither a file nor a folder: a pipe or a device."""
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def open_file(path: str | Path) -> BufferedReader:
    """Open a file for reading. Raises OSError if it is missing, a pipe or a device."""
    if is_endless(path):
        raise OSError(errno.EINVAL, "it is a pipe or a device, not a file", str(path))
    return open(path, "rb")


def read_bytes(path: str | Path) -> bytes:
    """All bytes of a file. Raises OSError like open_file, and if they do not fit into memory."""
    with open_file(path) as file:
        try:
            return file.read()
        except MemoryError as error:
            raise OSError(errno.ENOMEM, "it does not fit into memory", str(path)) from error


def read_text(path: str | Path, encoding: str = "utf-8") -> str:
    """The text of a file, with unchanged line ends. Also raises UnicodeDecodeError."""
    return read_bytes(path).decode(encoding)
