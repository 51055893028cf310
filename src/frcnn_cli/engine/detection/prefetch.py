"""Compute the results of the next items while the caller processes the current one."""

from __future__ import annotations

import ctypes
import itertools
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")
_IMAGES_PER_RETURN = 50  # of freed memory to the system


def prefetch(
    function: Callable[[Item], Result], items: Iterable[Item], threads: int
) -> Iterator[Result]:
    """Yield `function(item)` for every item, in order, computed by `threads` threads.

    While the caller processes one result, at most `threads` further results are computed or
    waiting. An exception in the function is raised in place of its result. The threads are
    daemons: they do not prevent the program from exiting.
    """
    tasks: queue.SimpleQueue[tuple[Future[Result], Item] | None] = queue.SimpleQueue()
    for _ in range(threads):
        threading.Thread(target=_work, args=(function, tasks), daemon=True).start()
    remaining = iter(items)
    pending: deque[Future[Result]] = deque()

    def submit(count: int) -> None:
        for item in itertools.islice(remaining, count):
            pending.append(Future())
            tasks.put((pending[-1], item))

    try:
        submit(threads)
        while pending:
            result = pending.popleft().result()
            submit(1)
            yield result
    finally:
        for future in pending:
            future.cancel()
        for _ in range(threads):
            tasks.put(None)


def returning_memory(results: Iterable[Result]) -> Iterator[Result]:
    """Yield the results of many images; return freed memory to the system every few of them.

    glibc does not do so by itself if a small block that stays, such as a result, lies above freed
    ones.
    """
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # other C libraries have none
    for number, result in enumerate(results, start=1):
        if trim is not None and number % _IMAGES_PER_RETURN == 0:
            trim(0)
        yield result


def _work(
    function: Callable[[Item], Result],
    tasks: queue.SimpleQueue[tuple[Future[Result], Item] | None],
) -> None:
    while (task := tasks.get()) is not None:
        future, item = task
        if future.set_running_or_notify_cancel():
            try:
                future.set_result(function(item))
            except BaseException as error:
                future.set_exception(error)
