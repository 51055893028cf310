"""Stop a long loop at the end of a step after Ctrl-C or SIGTERM."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass


@dataclass
class StopRequest:
    """Whether a signal requested a stop."""

    made: bool = False


@contextmanager
def stop_between_steps() -> Iterator[StopRequest]:
    """Record the first Ctrl-C or SIGTERM instead of raising KeyboardInterrupt.

    An interrupt in the middle of a step would leave weights that belong to no iteration. A second
    signal interrupts immediately. Outside the main thread, signal handlers are not changed.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def request_stop(*_: object) -> None:
        if request.made:
            raise KeyboardInterrupt
        request.made = True

    before = {
        number: signal.signal(number, request_stop) for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
