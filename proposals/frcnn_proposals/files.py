"""Files that appear under their final name only when they are whole."""

from __future__ import annotations

import errno
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from frcnn_proposals.errors import InputError, MisuseError
from frcnn_proposals.reading import is_endless

_SHORT = 50  # letters of a name that an unfinished file's own begins with


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A file to write to, beside `path`; it takes that name when the block ends well.

    A link stays one: what it leads to is written. Raises InputError, naming the file, where it
    cannot be written, or is a pipe or a device, which would be replaced.
    """
    name = None
    try:
        target = _target(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        prefix = f".{target.name[:_SHORT]}."
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=prefix, suffix=".partial")
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(name, 0o644)
        os.replace(name, target)
        sync_folder(target.parent)
    except BaseException as error:
        if name is not None:
            Path(name).unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise InputError(f"{path}: cannot be written ({error.strerror or error})") from error
        raise


def _target(path: Path) -> Path:
    """Where what is written to `path` comes to lie."""
    target = Path(os.path.realpath(path))
    if is_endless(target):
        raise OSError(errno.EINVAL, "it is a pipe or a device, not a file", str(path))
    return target


def sync_folder(folder: Path) -> None:
    """Have the folder's new names on the disk, so that a power cut does not undo them."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_whole(path: Path, content: bytes) -> None:
    """Write `content` to `path`, whole or not at all."""
    with whole_file(path) as file:
        file.write(content)


def is_writable(text: str) -> bool:
    """Whether it can be written as UTF-8: half a character, which json and yaml can name, not."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def refuse_to_replace(read: str | Path, written: Path) -> None:
    """Raises MisuseError where what is to be written is the very file that is read."""
    if written.exists() and os.path.exists(read) and os.path.samefile(read, written):
        raise MisuseError(f"{written}: is the file that is read; choose another name or folder")


def check_writable(path: Path) -> None:
    """Raises InputError where no file can be made there: to be asked before long work for it.

    Nothing is left behind, folders that are missing stay so.
    """
    try:
        folders = _target(path).absolute().parents
        folder = next(each for each in folders if each.exists() or each.is_symlink())
        with tempfile.TemporaryFile(dir=folder):
            (folder / path.name).exists()  # asks the system whether there can be such a name
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from error
