"""Errors of the machine become errors with a message; bugs of the program are not changed."""

from __future__ import annotations

import errno

import pytest

from frcnn_proposals.errors import Error, InputError, MisuseError, machine_errors, reason


@pytest.mark.parametrize(
    ("raised", "message"),
    [
        (FileNotFoundError(errno.ENOENT, "No such file", "a.txt"), "a.txt: No such file."),
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device."),
        (MemoryError("big"), "Out of memory (big)."),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory"), "Out of memory"),
        (
            ImportError("libGL.so.1: no such file", name="cv2"),
            "cv2 cannot be imported (libGL.so.1: ",
        ),
        (ModuleNotFoundError("No module named 'torch'", name="torch"), "torch cannot be imported"),
        (
            ImportError("_cpu.so is missing.\nTo fix it: x", name="frcnn_kernels"),
            "_cpu.so is missing.",
        ),
    ],
)
def test_the_machine_is_to_blame(raised: Exception, message: str) -> None:
    with pytest.raises(Error) as caught, machine_errors():
        raise raised
    assert str(caught.value).startswith(message)
    assert caught.value.__cause__ is raised
    assert caught.value.exit_code == 1


@pytest.mark.parametrize(
    "raised",
    [
        InputError("x"),
        MisuseError("x"),
        OSError(errno.EPIPE, "Broken pipe"),
        ValueError("x"),
        ImportError("cannot import name 'x'", name="frcnn_cli.engine.boxes"),
        ImportError("x"),
        KeyboardInterrupt(),
    ],
)
def test_others_pass_unchanged(raised: BaseException) -> None:
    with pytest.raises(type(raised)) as caught, machine_errors():
        raise raised
    assert caught.value is raised


def test_the_number_of_a_system_error_is_not_shown() -> None:
    error = IsADirectoryError(errno.EISDIR, "Is a directory", "photos")
    assert reason(error) == "Is a directory: 'photos'"
    assert reason(OSError()) == "OSError"
