"""The signals that stop a command.

`frcnn` imports this module before any other one, so it imports little itself.
"""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from threading import Lock
from typing import Any

# Ctrl-C, a request to terminate, and a closed terminal.
STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
INTERRUPTED = 130  # the exit code
# Held while a process writes what it must not lose; a command that is stopped waits for it.
LAST_WRITE = Lock()
_SECONDS_OF_ONE_REQUEST = 1.0
# The last signal that a handler received, by time.monotonic().
_handled_at = -math.inf


def handle_stop_signals(handler: Callable[[int, Any], Any]) -> dict[signal.Signals, Any]:
    """Call `handler` for every stop signal; returns the former handlers.

    Signals within a second of the first one are one request, also if the handler changes between
    them: `timeout` and torchrun send two, and so do a closed terminal and its shell. Ignored
    signals stay ignored: SIGHUP after `nohup`, SIGINT in the background of a script.
    """

    def handle(number: int, frame: Any) -> None:
        global _handled_at
        if time.monotonic() - _handled_at >= _SECONDS_OF_ONE_REQUEST:
            _handled_at = time.monotonic()
            handler(number, frame)

    former = {number: signal.getsignal(number) for number in STOP_SIGNALS}
    handled = {number: old for number, old in former.items() if old is not signal.SIG_IGN}
    for number in handled:
        signal.signal(number, handle)
    return handled


def ignore_stop_signals() -> None:
    """Ignore all stop signals from now on."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def print_interrupted() -> None:
    """Print the message of a stopped command; safe while another message is being printed."""
    with suppress(OSError):  # the terminal is closed
        os.write(2, b"Interrupted.\n")
