"""End a command within seconds after a stop signal, even in the middle of a long call."""

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

from frcnn_cli.engine.distributed.signals import (
    LAST_WRITE,
    STOP_SIGNALS,
    handle_stop_signals,
)

# Enough to finish a short training step; a step of a large network would take too long.
SECONDS = 2.5
_LONGEST_WRITE = 60.0  # of a checkpoint, on a slow disk
_MESSAGE = """Interrupted: the current step is discarded, saved results are kept.
Resume a training run with `frcnn train --resume RUN`, other work with the same command."""


def end_soon_after_stop_signal(exit_code: int, seconds: float = SECONDS) -> None:
    """Make stop signals end this process after `seconds`, if it has not ended by itself.

    Python's own handler waits until a library call returns, such as the backward pass of a
    large network. Files on the disk are complete at any moment, so it is safe to stop.
    Only for the process of a command: callers on the stack get no chance to clean up.
    """
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    signal.set_wakeup_fd(writing, warn_on_full_buffer=False)
    watch = threading.Thread(target=_watch, args=(reading, exit_code, seconds), daemon=True)
    with contextlib.suppress(RuntimeError):  # no thread is left: Ctrl-C waits for library calls
        watch.start()


def _wait(seconds: float) -> None:
    """Wait for the process to end by itself; longer if other programs use the processor."""
    started, ran, waited = time.monotonic(), time.process_time(), _waited_for_the_processor()
    time.sleep(seconds)
    while (
        time.process_time() - ran < seconds / 3 < _waited_for_the_processor() - waited
        and time.monotonic() - started < 4 * seconds
    ):
        time.sleep(0.05)


def _waited_for_the_processor() -> float:
    """Seconds that this process's threads waited for a core; 0 if the system does not report it."""
    nanoseconds = 0
    for task in Path("/proc/self/task").glob("*/schedstat"):
        with contextlib.suppress(OSError, IndexError, ValueError):  # the thread has ended
            nanoseconds += int(task.read_text().split()[1])
    return nanoseconds / 1e9


def _watch(reading: int, exit_code: int, seconds: float) -> None:
    while not set(STOP_SIGNALS) & set(os.read(reading, 64)):
        pass  # another signal
    _wait(seconds)
    if LAST_WRITE.locked():
        LAST_WRITE.acquire(timeout=_LONGEST_WRITE)
        _wait(seconds)  # for the end of the command
    with contextlib.suppress(OSError):  # the terminal is closed
        print(_MESSAGE, file=sys.stderr)
    leave_at_once(exit_code)


def leave_at_once(exit_code: int) -> NoReturn:
    """End the process and its workers immediately.

    The interpreter's normal exit stops threads in the middle of compiled code, which can abort
    the process and lose its exit code. A further stop signal ends it even sooner.
    """
    if threading.current_thread() is threading.main_thread():
        handle_stop_signals(lambda *_: os._exit(exit_code))
    for child in multiprocessing.active_children():
        child.kill()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError):  # its reader is gone
            stream.flush()
    os._exit(exit_code)
