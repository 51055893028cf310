"""Errors that a user can cause. The command line prints them without a traceback."""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager

# Parts of torch's and OpenCV's messages when an allocation fails.
_NO_MEMORY = ("can't allocate memory", "not enough memory", "insufficient memory", "out of memory")
# A torchvision that does not fit torch raises this when it is imported.
_FOREIGN_TORCHVISION = "operator torchvision::"
_DOCTOR = "`frcnn doctor` prints a command that fixes it."
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.ENOMEM)


class Error(Exception):
    """Base class of all errors that have a message for the user.

    Raised itself if the machine is the cause: no memory, or no space on the disk.
    exit_code: of the command line.
    """

    exit_code = 1


class InputError(Error):
    """An input cannot be used: a file, an image, or the value of a setting.

    The message has one to three lines, names the file, and says what to do.
    The command line ends with exit code 1.
    """


def reason(error: BaseException | str) -> str:
    """The message of another library, as part of one line of our own message.

    It can contain bytes of the file, so it is cut and reduced to printable characters. The number
    of an error of the operating system is removed.
    """
    text = re.sub(r"^\[Errno -?\d+\] ", "", str(error)) or type(error).__name__
    printable = "".join(letter if letter.isprintable() else " " for letter in text[:1000])
    return " ".join(printable.split())[:200]


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed in Python, NumPy, torch or OpenCV."""
    text = str(error)[:2000].lower()
    return isinstance(error, MemoryError) or any(sign in text for sign in _NO_MEMORY)


def ran_out_of_processes(error: BaseException) -> bool:
    """Whether the system could not start another process or thread, because of a limit."""
    is_fork = isinstance(error, BlockingIOError) and error.strerror == os.strerror(errno.EAGAIN)
    return is_fork or "can't start new thread" in str(error)[:2000]


def lacks_operators(error: BaseException) -> bool:
    """Whether the compiled operators could not be loaded. The message says why, and what to do."""
    return isinstance(error, ImportError) and error.name == "frcnn_kernels"


class MisuseError(InputError):
    """The request is invalid: an unknown name, or options that contradict each other.

    The command line ends with exit code 2.
    """

    exit_code = 2


class InvalidValueError(MisuseError, ValueError):
    """A value given from Python has another type or shape than expected.

    In a command, it is a fault of the program: nobody gave a value from Python.
    """


class InvalidIndexError(MisuseError, IndexError):
    """Indices given from Python do not exist."""


@contextmanager
def machine_errors() -> Iterator[None]:
    """Raise Error, with a message, if the block lacks memory, processes, a file or a package.

    Other exceptions pass unchanged: they are faults of the program.
    """
    try:
        yield
    except Error:
        raise
    except Exception as error:
        message = _machine_message(error)
        if message is None:
            raise
        raise Error(message) from error


def _machine_message(error: Exception) -> str | None:
    if ran_out_of_processes(error):
        return (
            f"The system cannot start more processes or threads ({reason(error)}).\n"
            "Use fewer --workers, or raise the limit (`ulimit -u`)."
        )
    if lacks_operators(error):
        return str(error)
    if isinstance(error, ImportError):
        package = (error.name or "").partition(".")[0]
        if not package or package.startswith("frcnn"):
            return None
        return f"{package} cannot be imported ({reason(error)}).\n{_DOCTOR}"
    if _FOREIGN_TORCHVISION in str(error)[:2000]:
        return f"torchvision was built for another torch ({reason(error)}).\n{_DOCTOR}"
    if isinstance(error, OSError):
        if error.filename is None and error.errno not in NO_ROOM:
            return None
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror}."
    if ran_out_of_memory(error):
        return (
            f"Out of memory ({reason(error)}).\n"
            "Use smaller images, lower scales or fewer images at once."
        )
    return None
