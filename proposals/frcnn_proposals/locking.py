"""Files that one process locks and others wait for."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

# Called once, before waiting for the process that holds a lock.
OnWait = Callable[[], None]


def open_locked(path: Path, on_wait: OnWait | None = None) -> BinaryIO:
    """Open or create `path` for reading and writing, locked until it is closed.

    on_wait: None does not wait: raises BlockingIOError if another process holds the lock. A
    symbolic link is not followed. The process that holds a lock may remove or rename the file: a
    lock is valid only if the file still has its name, so this opens the new one then. Raises
    OSError if the file cannot be opened or locked.
    """
    while True:
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        handle = os.open(path, flags, 0o644)
        try:
            on_wait = _lock(handle, on_wait)
            if is_named(handle, path):
                return os.fdopen(handle, "r+b")
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)


def open_new(path: Path) -> BinaryIO | None:
    """Create `path` for writing, locked until it is closed; replaces a file of a killed process.

    Returns None if another process has locked it, or if it cannot be created or locked.
    """
    with suppress(OSError):
        remove_unless_locked(path)
        # A new file: where locks have no effect, two processes must not write the same one.
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
        file = os.fdopen(os.open(path, flags, 0o644), "wb")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if is_named(file.fileno(), path):
                return file
        except BlockingIOError:
            pass  # Another process locked it first, and removes it.
        except OSError:
            path.unlink(missing_ok=True)
        file.close()
    return None


def remove_unless_locked(path: Path, others: Sequence[Path] = ()) -> None:
    """Remove `path`, unless another process holds its lock: it will remove the file then.

    others: files that belong to it, and are removed or kept with it. They are also removed if
    `path` does not exist; it is created for the lock then.
    """
    flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC
    if others:
        flags |= os.O_CREAT
    with suppress(FileNotFoundError, BlockingIOError):
        handle = os.open(path, flags, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if is_named(handle, path):
                for other in others:
                    other.unlink(missing_ok=True)
                path.unlink()
        finally:
            os.close(handle)


class Lock:
    """A lock file, held from the start until `release`, which removes it.

    Raises like `open_locked`.
    """

    def __init__(self, path: Path, on_wait: OnWait | None = None) -> None:
        self._path = path
        self._file = open_locked(path, on_wait)

    def release(self) -> None:
        """Remove the file and end the lock; does nothing the second time."""
        if not self._file.closed:
            self._path.unlink(missing_ok=True)
            self._file.close()


def _lock(handle: int, on_wait: OnWait | None) -> OnWait | None:
    """Lock an open file. Returns what to call before the next wait: each caller is told once."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return on_wait
    except BlockingIOError:
        if on_wait is None:
            raise
    on_wait()
    fcntl.flock(handle, fcntl.LOCK_EX)
    return _do_nothing


def _do_nothing() -> None:
    """Announce a wait that has been announced already."""


def is_named(handle: int, path: Path, follow_symlinks: bool = False) -> bool:
    """Whether `path` is still the name of an open file."""
    try:
        named = os.stat(path, follow_symlinks=follow_symlinks)
    except FileNotFoundError:
        return False
    return os.path.samestat(os.fstat(handle), named)
