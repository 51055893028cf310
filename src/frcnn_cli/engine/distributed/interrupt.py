"""Signals that stop a command: a long loop ends after its current step."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from multiprocessing import resource_tracker

from frcnn_cli.engine.distributed.signals import STOP_SIGNALS, handle_stop_signals


@dataclass
class StopRequest:
    """Whether a signal requested a stop."""

    made: bool = False


@contextmanager
def stop_signals_blocked() -> Iterator[None]:
    """Processes started within the block ignore stop signals: this process ends them in order."""
    # The first process that multiprocessing starts also starts its resource tracker, which unblocks
    # the signals: it must run before.
    resource_tracker.ensure_running()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def stop_between_steps() -> Iterator[StopRequest]:
    """Record the first stop signal instead of raising KeyboardInterrupt.

    An interrupt in the middle of a step would leave weights that belong to no iteration. A second
    signal interrupts immediately, except SIGHUP: a closed terminal and its shell both send it.
    Outside the main thread, signal handlers are not changed.
    """
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():
        yield request
        return

    def request_stop(number: int, _: object) -> None:
        if request.made and number != signal.SIGHUP:
            raise KeyboardInterrupt
        request.made = True

    before = handle_stop_signals(request_stop)
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
