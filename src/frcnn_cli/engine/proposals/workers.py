"""Worker processes for work on many images.

Unlike in the standard library's pools, a worker that dies loses only its current image, each
worker holds at most two images, and no worker outlives this process.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import chain, islice
from multiprocessing.connection import Connection, wait
from types import ModuleType
from typing import Generic, NoReturn, TypeVar

from frcnn_cli.engine.distributed.devices import usable_cores
from frcnn_cli.engine.distributed.interrupt import stop_signals_blocked
from frcnn_cli.engine.distributed.team import Team, team_from_environment
from frcnn_cli.engine.records import ImageRecord
from frcnn_proposals.base import Proposals
from frcnn_proposals.errors import InputError, ran_out_of_processes, reason
from frcnn_proposals.formats.read import RecordedProposals

Item = TypeVar("Item")
Result = TypeVar("Result")

# Items per worker: the current one, and one that waits.
_AHEAD = 2
_SECONDS_TO_EXIT = 5.0
# Each worker has one core: libraries must not start one thread per core in every worker.
_ONE_THREAD = ("OMP_NUM_THREADS", "OPENCV_FOR_THREADS_NUM", "OPENBLAS_NUM_THREADS")


def run_in_workers(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    workers: int,
    on_death: Callable[[Item, str], Result],
) -> Iterator[Result]:
    """Yield the result of `function` for every item, in the order in which they finish.

    function: picklable; it should return errors of an item as results.
    on_death(item, cause): returns the result for an item whose worker died.
    Raises InputError if `function` raises; OSError or RuntimeError if the system cannot start more
    processes or threads (`ran_out_of_processes`). Workers are killed when the
    iteration ends for any reason, including Ctrl-C; if this process dies, they exit by
    themselves.
    """
    queue = iter(items)
    pickled = pickled_function(function)
    running: dict[Connection, Worker[Item]] = {}
    try:
        for item in islice(queue, workers):
            worker = Worker(pickled, item)
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
                    del running[connection]
                    current, *waiting = worker.items
                    yield on_death(current, worker.stop_dead())
                    queue = chain(waiting, queue)
                    for item in islice(queue, 1):
                        successor = Worker(pickled, item)
                        running[successor.connection] = successor
                        successor.give(queue)
                    continue
                if kind == "no thread":
                    raise RuntimeError(value)
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


def map_in_workers(
    function: Callable[[Item], Result], items: Iterable[Item], workers: int
) -> Iterator[Result]:
    """Yield the result of `function` for every item, in order, from worker processes.

    With less than two workers, this process does the work, and errors of `function` are raised
    unchanged. Otherwise, raises like `run_in_workers`, and InputError if a worker dies.
    """
    if workers < 2:
        yield from map(function, items)
        return
    finished: dict[int, Result] = {}
    place = 0
    numbered = run_in_workers(_Numbered(function), enumerate(items), workers, _stop)
    for number, result in numbered:
        finished[number] = result
        while place in finished:
            yield finished.pop(place)
            place += 1


# With fewer images, starting processes takes longer than reading their boxes.
_IMAGES_FOR_WORKERS = 5000
_IMAGES_AT_ONCE = 64


def in_groups(images: Sequence[Item]) -> list[Sequence[Item]]:
    """The images in groups, each for one call of a worker process."""
    starts = range(0, len(images), _IMAGES_AT_ONCE)
    return [images[start : start + _IMAGES_AT_ONCE] for start in starts]


def workers_for(images: Sequence[ImageRecord], proposals: Mapping[str, Proposals]) -> int:
    """How many processes read the boxes of all images; 0 for this one, as for boxes in memory.

    The first process of a team reads them alone, and the others at the same time.
    """
    if len(images) < _IMAGES_FOR_WORKERS or not isinstance(proposals, RecordedProposals):
        return 0
    team = team_from_environment()
    return usable_cores() if team.is_first else own_cores(team)


def own_cores(team: Team) -> int:
    """The number of cores for each process of the team, if all of them work at the same time."""
    return max(1, usable_cores() // team.local_world)


@dataclass(frozen=True)
class _Numbered(Generic[Item, Result]):
    """A function of numbered items, whose results have the numbers."""

    function: Callable[[Item], Result]

    def __call__(self, numbered: tuple[int, Item]) -> tuple[int, Result]:
        number, item = numbered
        return number, self.function(item)


def _stop(item: object, cause: str) -> NoReturn:
    raise InputError(f"a worker process failed: {cause}")


def pickled_function(function: Callable[[Item], Result]) -> bytes:
    """The bytes that send `function` to workers. Raises InputError if it cannot be pickled."""
    try:
        return pickle.dumps(function)
    except Exception as error:  # an object of another package can fail in any way
        raise InputError(
            f"this proposal source cannot be sent to worker processes ({reason(error)})"
        ) from error


class Worker(Generic[Item]):
    """A process, the parent's end of its pipe, and its items: the current one and the next."""

    def __init__(self, pickled: bytes, item: Item) -> None:
        # A spawned process shares no locks, threads or pipes with this one, so the pipe is
        # certain to close when this process dies.
        context = multiprocessing.get_context("spawn")
        self.connection, child_end = context.Pipe()
        self.process = context.Process(target=_work, args=(pickled, child_end), daemon=True)
        with stop_signals_blocked(), _without_main(pickled):
            self.process.start()
        child_end.close()
        self.items: deque[Item] = deque()
        self.send(item)

    def give(self, queue: Iterator[Item]) -> None:
        """Send items from the queue until one waits, so that the worker is never idle."""
        for item in islice(queue, _AHEAD - len(self.items)):
            self.send(item)

    def send(self, item: Item) -> None:
        self.items.append(item)
        # Sending to a process that has just died fails; its closed pipe is noticed when the
        # parent waits for results.
        with suppress(OSError):
            self.connection.send(item)

    def stop(self) -> None:
        # Killed first, so that a thread that waits for an answer is woken before the pipe closes.
        self.process.kill()
        self.process.join()
        self.connection.close()

    def stop_dead(self) -> str:
        """Clean up after a process whose pipe is closed; returns how it ended."""
        # Its pipe closes before its exit code is known.
        self.process.join(_SECONDS_TO_EXIT)
        self.stop()
        code = self.process.exitcode or 0
        if code >= 0:
            return f"its worker process exited with code {code}"
        if -code == signal.SIGKILL:
            return "its worker process was killed by the kernel, probably because memory ran out"
        return f"its worker process was terminated by {signal.Signals(-code).name}"


_replacing_main = threading.Lock()


@contextmanager
def _without_main(pickled: bytes) -> Iterator[None]:
    """Processes started inside do not run the program's main file again.

    Otherwise a script that does not hide its work behind `if __name__ == "__main__"` would start
    it again in every worker. A function or source that is defined in the main file needs it.
    """
    if b"__main__" in pickled:
        yield
        return
    with _replacing_main:
        main = sys.modules["__main__"]
        sys.modules["__main__"] = ModuleType("__main__")
        try:
            yield
        finally:
            sys.modules["__main__"] = main


def _work(pickled: bytes, connection: Connection) -> None:
    """Process items in a worker until the pipe closes."""
    for name in _ONE_THREAD:
        os.environ[name] = "1"
    try:
        threading.Thread(target=_die_with_parent, daemon=True).start()
        function = pickle.loads(pickled)  # safe: the parent process created it
        while True:
            connection.send(("done", function(connection.recv())))
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass
    except Exception as error:
        kind = "no thread" if ran_out_of_processes(error) else "fault"
        connection.send((kind, str(error) or type(error).__name__))


def _die_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        wait([parent.sentinel])
        os._exit(1)
