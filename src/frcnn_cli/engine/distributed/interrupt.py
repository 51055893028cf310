"""Asking a long loop to stop: Ctrl-C and SIGTERM wait for the end of the step."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class StopRequest:
    """Whether a signal has asked the loop to stop."""

    made: bool = False


@contextmanager
def stop_between_steps() -> Iterator[StopRequest]:
    """Note the first Ctrl-C or SIGTERM in place of raising KeyboardInterrupt at any line.

    A step that is cut in two would leave weights that belong to no iteration. A second signal
    does interrupt at once. Outside the main thread signals are left as they are.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def ask(*_: object) -> None:
        if request.made:
            raise KeyboardInterrupt
        request.made = True

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
