"""Worker processes for work on many images, one image a process at a time.

Unlike the standard library's pools, a worker that dies takes only its own image with it,
no more items are in flight than there are workers, and no worker outlives this process.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Generic, TypeVar

from frcnn_proposals.errors import InputError

Item = TypeVar("Item")
Result = TypeVar("Result")

# Each worker has a core: libraries must not start a thread a core in every one of them.
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENCV_FOR_THREADS_NUM", "OPENBLAS_NUM_THREADS")


def run_in_workers(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    workers: int,
    on_death: Callable[[Item, str], Result],
) -> Iterator[Result]:
    """Results of `function` for every item, in the order in which they are done.

    function: picklable; it is expected to turn an item's own errors into results.
    on_death(item, how): the result for an item whose worker died on it.
    Raises InputError if workers cannot start or `function` raises. Workers are killed when the
    iteration ends in any way, Ctrl-C included; if this process dies, they end by themselves.
    """
    queue = iter(items)
    pickled = pickle.dumps(function)
    running: dict[Connection, _Worker[Item]] = {}
    try:
        for item in _first(queue, workers):
            _start(pickled, item, running)
        while running:
            for connection in wait(list(running)):
                assert isinstance(connection, Connection)
                worker = running[connection]
                try:
                    kind, value = connection.recv()
                except (EOFError, OSError):
                    worker.stop()
                    del running[connection]
                    yield on_death(worker.item, worker.how_it_ended())
                    for item in _first(queue, 1):
                        _start(pickled, item, running)
                    continue
                if kind == "fault":
                    raise InputError(f"a worker process failed: {value}")
                if not worker.give(queue):
                    del running[connection]
                    worker.stop()
                yield value
    finally:
        for worker in running.values():
            worker.stop()


class _Worker(Generic[Item]):
    """A process, the parent's end of its pipe, and the item it is at."""

    def __init__(self, process: BaseProcess, connection: Connection, item: Item) -> None:
        self.process = process
        self.connection = connection
        self.item = item
        connection.send(item)

    def give(self, queue: Iterator[Item]) -> bool:
        """Hand it the queue's next item; False if there is none left."""
        for item in _first(queue, 1):
            self.item = item
            self.connection.send(item)
            return True
        return False

    def stop(self) -> None:
        self.connection.close()
        self.process.kill()
        self.process.join()

    def how_it_ended(self) -> str:
        code = self.process.exitcode or 0
        if code >= 0:
            return f"its worker process ended with code {code}"
        return f"its worker process was ended by {signal.Signals(-code).name}"


def _first(queue: Iterator[Item], count: int) -> Iterator[Item]:
    for _, item in zip(range(count), queue, strict=False):
        yield item


def _start(pickled: bytes, item: Item, running: dict[Connection, _Worker[Item]]) -> None:
    # A spawned process shares no locks, threads or pipes with this one: when this one dies,
    # the pipe closes for certain.
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(pickled, theirs), daemon=True)
    with _without_ctrl_c():
        process.start()
    theirs.close()
    running[ours] = _Worker(process, ours, item)


@contextmanager
def _without_ctrl_c() -> Iterator[None]:
    """Processes started inside never see Ctrl-C: the parent tells them when to stop."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _work(pickled: bytes, connection: Connection) -> None:
    """What a worker process does: item after item until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_die_with_parent, daemon=True).start()
    for name in _ONE_THREAD:
        os.environ[name] = "1"
    try:
        function = pickle.loads(pickled)  # this program's own, from its parent
        while True:
            connection.send(("done", function(connection.recv())))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass
    except Exception as error:
        connection.send(("fault", str(error) or type(error).__name__))


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
