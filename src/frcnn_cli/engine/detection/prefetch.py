"""Compute the results of the next items while the caller processes the current one."""

from __future__ import annotations

import itertools
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


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
