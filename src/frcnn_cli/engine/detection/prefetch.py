"""Work on the next items while the caller is busy with this one."""

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
    """`function` of every item, in their order, computed in `threads` threads.

    As many results as threads are made or wait while the caller holds one. An exception of
    the function is raised where its result is due. A thread in the middle of an item does not
    keep the program from ending.
    """
    tasks: queue.SimpleQueue[tuple[Future[Result], Item] | None] = queue.SimpleQueue()
    for _ in range(threads):
        threading.Thread(target=_work, args=(function, tasks), daemon=True).start()
    rest = iter(items)
    due: deque[Future[Result]] = deque()

    def give(count: int) -> None:
        for item in itertools.islice(rest, count):
            due.append(Future())
            tasks.put((due[-1], item))

    try:
        give(threads)
        while due:
            result = due.popleft().result()
            give(1)
            yield result
    finally:
        for future in due:
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
