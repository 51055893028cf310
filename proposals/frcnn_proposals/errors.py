"""The errors a user can cause. The command line prints them without a traceback."""


class InputError(Exception):
    """Something from outside could not be used: a file, an image, a setting's value.

    The message is one to three lines, names the file, and says the way out.
    The command line ends with exit code 1.
    """

    exit_code = 1


class MisuseError(InputError):
    """The request itself cannot be carried out: an unknown name, options that contradict.

    The command line ends with exit code 2.
    """

    exit_code = 2
