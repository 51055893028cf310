"""After Ctrl-C a command ends within seconds, whatever it was in the middle of."""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import signal
import sys
import threading
import time
from pathlib import Path
from typing import NoReturn

# A step of training that is nearly done is kept; one of a large network would take too long.
SECONDS = 2.5


def end_soon_after_ctrl_c(exit_code: int, seconds: float = SECONDS) -> None:
    """From now on Ctrl-C ends this process after `seconds`, if it has not ended by itself.

    Python's own handler waits until a library's call returns, such as the backward pass of a
    large network. What is on the disk is whole at any moment, so nothing else has to wait.
    Only for the process of a command: it is ended without another word to its callers.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(reading, exit_code, seconds), daemon=True).start()


def _wait(seconds: float) -> None:
    """So long that what can end by itself has ended: longer where others take the processor."""
    started, ran, waited = time.monotonic(), time.process_time(), _waited_for_the_processor()
    time.sleep(seconds)
    while (
        time.process_time() - ran < seconds / 3 < _waited_for_the_processor() - waited
        and time.monotonic() - started < 4 * seconds
    ):
        time.sleep(0.05)


def _waited_for_the_processor() -> float:
    """Seconds that this process's threads could have run and did not; 0 where nobody says."""
    nanoseconds = 0
    for task in Path("/proc/self/task").glob("*/schedstat"):
        with contextlib.suppress(OSError, IndexError, ValueError):  # the thread has ended
            nanoseconds += int(task.read_text().split()[1])
    return nanoseconds / 1e9


def _watch(reading: int, exit_code: int, seconds: float) -> None:
    while signal.SIGINT not in os.read(reading, 64):
        pass  # another signal
    _wait(seconds)
    print(
        "Interrupted; what was in the middle of being done is given up, what was saved is kept.",
        file=sys.stderr,
    )
    leave_at_once(exit_code)


def leave_at_once(exit_code: int) -> NoReturn:
    """End the process and its workers here and now.

    The interpreter's own end would stop threads in the middle of compiled code, which can abort
    the process in place of its exit code.
    """
    for child in multiprocessing.active_children():
        child.kill()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):  # nobody reads it any more
            stream.flush()
    os._exit(exit_code)
