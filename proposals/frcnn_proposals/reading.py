"""Open files from outside, and reject pipes and devices, which can be endless."""

from __future__ import annotations

import codecs
import errno
import os
import stat
from collections.abc import Iterator
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


def read_utf8(path: str | Path) -> bytes:
    """The bytes of a text file as UTF-8 without a byte-order mark.

    Editors on Windows begin files with a mark; with that of UTF-16, the file is converted. Bytes
    that are not UTF-8 are returned unchanged. Also raises UnicodeDecodeError.
    """
    content = read_bytes(path)
    if content.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return content.decode("utf-16").encode()
    return content.removeprefix(codecs.BOM_UTF8)


def text_lines(path: str | Path) -> Iterator[str]:
    """The lines of a text file without their ends, one at a time. Raises the errors of read_text.

    A line ends with a line feed, a carriage return or both. The other characters at which
    str.splitlines splits, such as U+2028 and form feed, occur in names of files.
    """
    with open_file(path) as file:
        start = file.peek(3)[:3]
        if start.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            yield from map(bytes.decode, read_utf8(path).splitlines())
            return
        if start == codecs.BOM_UTF8:
            file.read(3)
        for line in file:
            yield from map(bytes.decode, line.splitlines())


def read_text(path: str | Path) -> str:
    """The text of a file, with unchanged line ends. Also raises UnicodeDecodeError.

    All text files of users are read by this function, by text_lines or by read_utf8.
    """
    return read_utf8(path).decode()
