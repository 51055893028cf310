"""The errors a user can cause. The command line prints them without a traceback."""

# What torch and OpenCV say where an allocation fails.
_NO_MEMORY = ("can't allocate memory", "not enough memory", "insufficient memory", "out of memory")


class InputError(Exception):
    """Something from outside could not be used: a file, an image, a setting's value.

    The message is one to three lines, names the file, and says the way out.
    The command line ends with exit code 1.
    """

    exit_code = 1


def reason(error: BaseException | str) -> str:
    """What another library says of a file, as a part of one line of a message.

    Such words may hold bytes of the file: only what can be printed stays, and not much of it.
    """
    text = str(error) or type(error).__name__
    shown = "".join(letter if letter.isprintable() else " " for letter in text[:1000])
    return " ".join(shown.split())[:200]


def ran_out_of_memory(error: BaseException) -> bool:
    """Whether an allocation failed: Python's, NumPy's, torch's or OpenCV's."""
    text = str(error)[:2000].lower()
    return isinstance(error, MemoryError) or any(sign in text for sign in _NO_MEMORY)


class MisuseError(InputError):
    """The request itself cannot be carried out: an unknown name, options that contradict.

    The command line ends with exit code 2.
    """

    exit_code = 2
