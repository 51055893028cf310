"""Errors that a user can cause. The command line prints them without a traceback."""

# Parts of torch's and OpenCV's messages when an allocation fails.
_NO_MEMORY = ("can't allocate memory", "not enough memory", "insufficient memory", "out of memory")


class InputError(Exception):
    """An input cannot be used: a file, an image, or the value of a setting.

    The message has one to three lines, names the file, and says what to do.
    The command line ends with exit code 1.
    """

    exit_code = 1


def reason(error: BaseException | str) -> str:
    """The message of another library, as part of one line of our own message.

    It can contain bytes of the file, so it is cut and reduced to printable characters.
    """
    text = str(error) or type(error).__name__
    printable = "".join(letter if letter.isprintable() else " " for letter in text[:1000])
    return " ".join(printable.split())[:200]


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed in Python, NumPy, torch or OpenCV."""
    text = str(error)[:2000].lower()
    return isinstance(error, MemoryError) or any(sign in text for sign in _NO_MEMORY)


class MisuseError(InputError):
    """The request is invalid: an unknown name, or options that contradict each other.

    The command line ends with exit code 2.
    """

    exit_code = 2
