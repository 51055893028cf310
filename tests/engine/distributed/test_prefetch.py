"""Results that threads compute while the caller works."""

from __future__ import annotations

import threading
import time

import pytest

from frcnn_cli.engine.distributed.prefetch import prefetch

SOON = 60  # seconds; what a test waits for happens at once, but the machine may be busy


def test_prefetch_keeps_the_order_and_limits_the_items_ahead() -> None:
    started: list[int] = []
    ahead = {item: threading.Event() for item in range(20)}

    def slow_when_even(item: int) -> int:
        started.append(item)
        ahead[item].set()
        time.sleep(0.02 * (item % 2 == 0))
        return item * item

    results = prefetch(slow_when_even, range(20), threads=3)
    assert next(results) == 0
    assert all(ahead[item].wait(SOON) for item in range(4))
    time.sleep(0.1)  # in which no other one may start
    assert sorted(started) == [0, 1, 2, 3]
    assert list(results) == [item * item for item in range(1, 20)]


def test_prefetch_computes_while_the_caller_works() -> None:
    reached = threading.Event()

    def function(item: int) -> int:
        if item == 1:
            reached.set()
        return item

    results = prefetch(function, [0, 1], threads=1)
    next(results)
    assert reached.wait(SOON), "nothing was computed in the background"


def test_prefetch_raises_in_place_of_the_result_and_ends_its_threads() -> None:
    workers: set[threading.Thread] = set()

    def divide(item: int) -> int:
        workers.add(threading.current_thread())
        return 1 // item

    results = prefetch(divide, [1, 0, 1], threads=2)
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)
    for worker in workers:
        worker.join(SOON)
    assert workers
    assert not any(worker.is_alive() for worker in workers)


def test_without_threads_the_caller_computes_what_it_takes() -> None:
    computed: list[tuple[int, threading.Thread]] = []

    def function(item: int) -> int:
        computed.append((item, threading.current_thread()))
        return 10 * item

    for taken, result in enumerate(prefetch(function, range(3), threads=0)):
        assert result == 10 * taken
        assert computed[-1] == (taken, threading.current_thread())
        assert len(computed) == taken + 1
    assert len(computed) == 3
