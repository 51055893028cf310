"""Standard streams that the caller has closed, as by `frcnn runs >&-`."""

from __future__ import annotations

import errno
import io
import os
import sys
from typing import Any


class _Closed(io.RawIOBase):
    """A stream whose results cannot be written."""

    def writable(self) -> bool:
        return True

    def write(self, _: Any) -> int:
        raise OSError(errno.EBADF, "is closed", "standard output")


def replace_closed_streams() -> None:
    """Let writing to a closed standard output fail; ignore what is written to a closed stderr.

    Their numbers are taken by the null device: otherwise the next file that is opened would get
    them, and what libraries print would be written into it.
    """
    while (handle := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(handle, True)
    os.close(handle)
    if sys.stdout is None:
        sys.stdout = io.TextIOWrapper(_Closed(), write_through=True)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
