"""Write files so that they get their final name only when they are complete."""

from __future__ import annotations

import errno
import fcntl
import glob
import itertools
import json
import os
import tempfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from frcnn_proposals.errors import NO_ROOM, InputError, MisuseError
from frcnn_proposals.locking import is_named, open_new
from frcnn_proposals.reading import is_endless

_SHORT = 50  # letters of the final name at the beginning of a temporary name


@contextmanager
def whole_file(path: Path, replaces: bool = True) -> Iterator[BinaryIO]:
    """A temporary file next to `path`, which is renamed to `path` if the block succeeds.

    If `path` is a link, its target is written. replaces: False keeps an existing file, which is
    then an error. Several processes can write `path` at once: each writes a file of its own.

    Raises InputError, which names the file, if it cannot be written or is a pipe or a device, which
    the rename would replace.
    """
    try:
        target = _target(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        unfinished, opened = _create_unfinished(target)
        with opened as file:
            try:
                yield file
                file.flush()
                os.fsync(file.fileno())
                os.fchmod(file.fileno(), 0o644)
                if not is_named(file.fileno(), unfinished):
                    raise InputError(
                        f"{path}: cannot be written (another process replaced its temporary file). "
                        "Repeat the command."
                    )
                if replaces:
                    os.replace(unfinished, target)
                else:
                    _rename_new(unfinished, target)
            except BaseException:
                if is_named(file.fileno(), unfinished):
                    unfinished.unlink(missing_ok=True)
                raise
        sync_folder(target.parent)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from error


def _create_unfinished(target: Path) -> tuple[Path, BinaryIO]:
    """Create the temporary file for `target`, and open it for writing.

    Its name depends only on `target`, the user and the machine, so that the file of a killed
    process is replaced. While another process writes `target`, and on drives without locks, the
    name is unique. Each machine has its own names, because locks may not reach other machines.
    """
    start, end = f".{target.name[:_SHORT]}.", ".partial"
    owned = f"{os.uname().nodename} {os.getuid()} {target.name}"
    digest = zlib.crc32(owned.encode(errors="surrogateescape"))
    usual = target.parent / f"{start}{digest:08x}{end}"
    file = open_new(usual)
    if file is not None:
        return usual, file
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=start, suffix=end)
    return Path(name), os.fdopen(handle, "wb")


def _rename_new(name: Path, target: Path) -> None:
    """Rename a file, but raise OSError if `target` exists, even if it was just created."""
    try:
        os.link(name, target)
    except OSError as error:
        # Some file systems have no hard links; a check then has to be enough.
        if error.errno == errno.EEXIST or os.path.lexists(target):
            raise
        os.rename(name, target)
    else:
        name.unlink(missing_ok=True)


@contextmanager
def unfinished_file(path: Path) -> Iterator[Path]:
    """A file next to `path` for a writer that needs a name; it is removed at the end.

    Its name is unique to this process, and ends like that of `path`. Raises InputError if it
    cannot be created, or while another process writes `path`: one of the two would be lost.
    """
    start, end = f".{path.stem[:_SHORT]}.", f".partial{path.suffix}"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if any(
            map(_is_locked, path.parent.glob(f"{glob.escape(start)}????????{glob.escape(end)}"))
        ):
            raise InputError(
                f"{path}: another process is writing it. Wait for it, or choose another folder."
            )
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=start, suffix=end)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from error
    try:
        with suppress(OSError):  # Some network drives have no locks.
            fcntl.flock(handle, fcntl.LOCK_EX)
        os.chmod(name, 0o644)
        yield Path(name)
    finally:
        Path(name).unlink(missing_ok=True)
        os.close(handle)


def _is_locked(path: Path) -> bool:
    """Whether a living process holds the file."""
    try:
        with open(path, "rb") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False


@contextmanager
def whole_folder(path: Path) -> Iterator[Path]:
    """A new folder next to `path`; it is renamed to `path` if the block succeeds.

    Its name until then is unique to this process. Raises MisuseError if `path` exists, or if
    another process creates it meanwhile.
    """
    if os.path.lexists(path):
        raise MisuseError(f"{path}: already exists. Remove it, or choose another folder.")
    path.parent.mkdir(parents=True, exist_ok=True)
    with temporary_folder(path) as folder:
        yield folder
        try:
            os.rename(folder, path)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.ENOTDIR):
                raise
            raise MisuseError(
                f"{path}: was created by another process in the meantime, and is not replaced. "
                "Choose another folder."
            ) from error


@contextmanager
def failed_writes_named(path: Path) -> Iterator[None]:
    """Raise InputError, which names `path`, if a write in the block fails, as on a full disk.

    The system's own error for that names no file.
    """
    try:
        yield
    except OSError as error:
        if error.filename is not None or error.errno not in NO_ROOM:
            raise
        raise InputError(f"{path}: cannot be written ({error.strerror})") from error


@contextmanager
def temporary_folder(path: Path) -> Iterator[Path]:
    """An empty folder next to `path`, with a new name; removed at the end."""
    prefix = f".{path.name[:_SHORT]}."
    with tempfile.TemporaryDirectory(
        dir=path.parent, prefix=prefix, suffix=".partial", ignore_cleanup_errors=True
    ) as outer:
        folder = Path(outer) / "content"  # created with the user's own permissions
        folder.mkdir()
        with failed_writes_named(path):
            yield folder


def _target(path: Path) -> Path:
    """The file that is written for `path`: links are followed.

    Python cannot follow those of /dev/stdout and /dev/fd/63 to a pipe, but the system can: so
    `path` itself is checked.
    """
    target = Path(os.path.realpath(path))
    if is_endless(path):
        raise OSError(errno.EINVAL, "it is a pipe or a device, not a file", str(path))
    return target


def sync_folder(folder: Path) -> None:
    """Write the folder's new names to the disk, so that they survive a power failure."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def write_whole(path: Path, content: bytes) -> None:
    """Write `content` to `path` completely or not at all."""
    with whole_file(path) as file:
        file.write(content)


def write_chunks(path: Path, chunks: Iterable[bytes]) -> None:
    """Write `chunks` to `path` one by one, so that only one is in memory: all of them or none."""
    with whole_file(path) as file:
        file.writelines(chunks)


def write_json_list(path: Path, groups: Iterable[list[Any]], indent: int | None = None) -> None:
    """Write the items of all groups as one JSON list and a line feed, one group in memory."""
    write_chunks(path, _json_list(groups, indent))


def _json_list(groups: Iterable[list[Any]], indent: int | None) -> Iterator[bytes]:
    """The bytes of `json.dumps(list, indent=indent)`, group by group."""
    end = "]" if indent is None else "\n]"
    separator, start = ", " if indent is None else ",", "["
    for group in groups:
        if group:
            text = json.dumps(group, indent=indent).removesuffix(end)
            yield (start + text[1:]).encode()
            start = separator
    yield b"[]\n" if start == "[" else f"{end}\n".encode()


def unused_file(path: Path) -> Path:
    """`path`, or if it exists, the first of name-2, name-3, ... that does not."""
    numbers = itertools.count(2)
    unused = path
    while os.path.lexists(unused):
        unused = path.with_stem(f"{path.stem}-{next(numbers)}")
    return unused


def is_writable(text: str) -> bool:
    """Whether `text` can be written as UTF-8; lone surrogates (possible in json, yaml) cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def reject_same_file(read: str | Path, written: Path) -> None:
    """Raises MisuseError if `written` is the same file as `read`."""
    if written.exists() and os.path.exists(read) and os.path.samefile(read, written):
        raise MisuseError(f"{written}: is also the input file; choose another name or folder")


def check_no_link(unfinished: Path) -> None:
    """Raises InputError for a symbolic link: unfinished work is not written through one."""
    if unfinished.is_symlink():
        raise InputError(
            f"{unfinished}: is a symbolic link, not a file of unfinished work; remove it"
        )


def check_writable(path: Path, is_folder: bool = False) -> None:
    """Raises InputError if no file can be created at `path`. Call it before long work.

    is_folder: check instead that files can be created in `path`. Creates no file and no folder.
    """
    try:
        target = _target(path).absolute()
        folders = (target, *target.parents) if is_folder else target.parents
        folder = next(parent for parent in folders if parent.exists() or parent.is_symlink())
        with tempfile.TemporaryFile(dir=folder):
            (folder / path.name).exists()  # raises OSError if the name is not possible
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error})") from error
