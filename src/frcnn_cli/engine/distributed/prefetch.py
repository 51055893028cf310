"""Compute the results of the next items while the caller processes the current one."""

from __future__ import annotations

import ctypes
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
    function: Callable[[Item], Result],
    items: Iterable[Item],
    threads: int,
    *,
    join: bool = False,
) -> Iterator[Result]:
    """Yield `function(item)` for every item, in order, computed by `threads` threads.

    While the caller processes one result, at most `threads` further results are computed or
    waiting. This thread takes the items. An exception in the function, or in `items`, is raised in
    place of its result. The threads are daemons: they do not prevent the program from exiting.
    join: at the end, also after an error, wait until the threads have finished their items; not
    after an interrupt. With no threads, the calling thread computes each result when it is
    requested.
    """
    if threads == 0:
        yield from map(function, items)
        return
    tasks: queue.SimpleQueue[tuple[Future[Result], Item] | None] = queue.SimpleQueue()
    workers = [
        threading.Thread(target=_work, args=(function, tasks), daemon=True) for _ in range(threads)
    ]
    for worker in workers:
        worker.start()
    remaining = iter(items)
    pending: deque[Future[Result]] = deque()

    def submit(count: int) -> None:
        for _ in range(count):
            future: Future[Result] = Future()
            try:
                tasks.put((future, next(remaining)))
            except StopIteration:
                return
            except Exception as error:
                future.set_exception(error)
            pending.append(future)

    try:
        submit(threads)
        while pending:
            result = pending.popleft().result()
            submit(1)
            yield result
    except KeyboardInterrupt:
        join = False
        raise
    finally:
        for future in pending:
            future.cancel()
        for _ in range(threads):
            tasks.put(None)
        # The garbage collector can close this generator in any thread, even in one of these.
        if join and threading.current_thread() not in workers:
            for worker in workers:
                worker.join()


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
