"""Worker processes for work on many images.

Unlike with the standard library's pools, a worker that dies takes only the image it was at with
it, at most two images a worker are in flight, and no worker outlives this process.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from itertools import chain, islice
from multiprocessing.connection import Connection, wait
from typing import Generic, TypeVar

from frcnn_proposals.errors import InputError

Item = TypeVar("Item")
Result = TypeVar("Result")

# Items that a worker holds: the one it is at, and one that waits.
_AHEAD = 2
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
        for item in islice(queue, workers):
            worker = _Worker(pickled, item)
            running[worker.connection] = worker
        for worker in running.values():
            worker.give(queue)
        while running:
            for connection in wait(list(running)):
                assert isinstance(connection, Connection)
                worker = running[connection]
                try:
                    kind, value = connection.recv()
                except (EOFError, OSError):
                    worker.stop()
                    del running[connection]
                    fatal, *waiting = worker.items
                    yield on_death(fatal, worker.how_it_ended())
                    queue = chain(waiting, queue)
                    for item in islice(queue, 1):
                        successor = _Worker(pickled, item)
                        running[successor.connection] = successor
                        successor.give(queue)
                    continue
                if kind == "fault":
                    raise InputError(f"a worker process failed: {value}")
                worker.items.popleft()
                worker.give(queue)
                if not worker.items:
                    del running[connection]
                    worker.stop()
                yield value
    finally:
        for worker in running.values():
            worker.stop()


class _Worker(Generic[Item]):
    """A process, the parent's end of its pipe, and its items: the one it is at, and the next."""

    def __init__(self, pickled: bytes, item: Item) -> None:
        # A spawned process shares no locks, threads or pipes with this one: when this one
        # dies, the pipe closes for certain.
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_work, args=(pickled, theirs), daemon=True)
        with _without_ctrl_c():
            self.process.start()
        theirs.close()
        self.items: deque[Item] = deque()
        self._send(item)

    def give(self, queue: Iterator[Item]) -> None:
        """Hand it items from the queue until one is waiting, so that it need not wait for us."""
        for item in islice(queue, _AHEAD - len(self.items)):
            self._send(item)

    def _send(self, item: Item) -> None:
        self.items.append(item)
        # To a process that has just died nothing can be sent: its pipe ends, and that is seen
        # when results are waited for.
        with suppress(BrokenPipeError, ConnectionResetError):
            self.connection.send(item)

    def stop(self) -> None:
        self.connection.close()
        self.process.kill()
        self.process.join()

    def how_it_ended(self) -> str:
        code = self.process.exitcode or 0
        if code >= 0:
            return f"its worker process ended with code {code}"
        if -code == signal.SIGKILL:
            return "its worker process was killed by the kernel, which does so when memory runs out"
        return f"its worker process was ended by {signal.Signals(-code).name}"


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
