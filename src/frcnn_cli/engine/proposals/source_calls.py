"""Call a source for images that are already in memory, from any thread.

This is the one place that decides whether a source runs in this process: only if it declares itself
thread-safe, as the built-in sources do. Any other source is called in worker processes. Each has
its own copy of the source and makes one call at a time, and a source that ends its process costs
one image.
"""

from __future__ import annotations

import copy
import multiprocessing
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.util import Finalize

from frcnn_cli.engine.proposals.workers import Worker, pickled_function
from frcnn_cli.engine.settings import ProposalSettings
from frcnn_proposals.base import (
    Image,
    Proposals,
    Source,
    Window,
    is_per_stream,
    is_thread_safe,
)
from frcnn_proposals.errors import InputError
from frcnn_proposals.formats.parts.row import Notice
from frcnn_proposals.sources.call import SourceError, call_source, load_files, reject_per_stream
from frcnn_proposals.sources.registry import make_source, parse_parameters
from frcnn_proposals.wording import counted

# A function from image id and pixels to proposals.
Propose = Callable[[str, Image], Proposals]
_Task = tuple[str, Image, Window | None]


class SourceCalls:
    """A function from image id and pixels to the checked proposals of `source` (see call_source).

    Any number of threads may call it. Worker processes are started when they are needed: as many as
    there are calls at the same time. They end with close(), or with this object. is_stream: the
    images are the frames of one video; a source that remembers them is copied, so that it does not
    remember those of another one, and must be called by one thread. Raises InputError if the file
    of a Precomputed source cannot be read, or if the source cannot be pickled; MisuseError for a
    source that remembers images if is_stream is False.
    """

    def __init__(self, source: Source, is_stream: bool = False) -> None:
        if not is_stream:
            reject_per_stream(source)
        elif is_per_stream(source):
            source = copy.deepcopy(source)
        load_files(source)
        self._source = source
        self._processes = None if is_thread_safe(source) else _Processes(source)

    def __call__(self, image_id: str, image: Image, window: Window | None = None) -> Proposals:
        """Raises SourceError, which does not name the image, if the source fails."""
        if self._processes is None:
            return call_source(self._source, image_id, image, window)
        return self._processes.call((image_id, image, window))

    def close(self) -> None:
        """End the worker processes."""
        if self._processes is not None:
            self._processes.close()


def source_of(settings: ProposalSettings) -> Source:
    """Create the source that the settings name. Raises the errors of make_source."""
    return make_source(settings.source, **parse_parameters(settings.parameters))


def clipped_message(source: str, count: int) -> str:
    """The warning about `count` boxes of a source that reached outside their images."""
    return counted(count, *clipped_notice(source))


def clipped_notice(source: str) -> Notice:
    """The words of clipped_message after the count."""
    outside = f"of {source} reached outside the image and"
    return f"box {outside} was clipped or removed.", f"boxes {outside} were clipped or removed."


class _Processes:
    """Worker processes with a copy of the source each; an idle one gets the next call."""

    def __init__(self, source: Source) -> None:
        if multiprocessing.current_process().daemon:
            raise InputError(
                f"source {source.name!r} needs worker processes, which a daemonic process (such as "
                "one of multiprocessing.Pool) cannot start"
            )
        self._name = source.name
        self._pickled = pickled_function(_Call(source))
        self._lock = threading.Lock()
        self._idle: list[Worker[_Task]] = []
        self._all: set[Worker[_Task]] = set()
        self._process = os.getpid()
        # Runs before this program waits for its child processes at its end.
        self.close = Finalize(self, _stop_all, (self._all,), exitpriority=1)

    def call(self, task: _Task) -> Proposals:
        worker = self._worker_for(task)
        try:
            kind, answer = worker.connection.recv()
        except (EOFError, OSError) as error:
            self._forget(worker)
            raise SourceError(f"{self._name} failed: {worker.stop_dead()}") from error
        except BaseException:  # Ctrl-C: the answer would be taken for that of the next image
            self._forget(worker)
            worker.stop()
            raise
        if kind != "done":
            self._forget(worker)
            worker.stop()
            raise SourceError(f"{self._name} failed: its worker process failed: {answer}")
        worker.items.popleft()
        with self._lock:
            self._idle.append(worker)
        if isinstance(answer, SourceError):
            raise answer
        assert isinstance(answer, Proposals)
        return answer

    def _worker_for(self, task: _Task) -> Worker[_Task]:
        """An idle worker, or a new one, that has received the task."""
        with self._lock:
            if self._process != os.getpid():
                # A fork shares the pipes: it would receive answers of the original process.
                raise InputError(f"{self._name} was used before this process was forked")
            worker = self._idle.pop() if self._idle else None
        is_new = worker is None
        worker = worker or Worker(self._pickled, task)
        with self._lock:
            self._all.add(worker)
        if not self.close.still_active():
            worker.stop()
            raise SourceError(f"{self._name} was stopped")
        if not is_new:
            worker.send(task)
        return worker

    def _forget(self, worker: Worker[_Task]) -> None:
        with self._lock:
            self._all.discard(worker)


def _stop_all(workers: set[Worker[_Task]]) -> None:
    while workers:
        workers.pop().stop()


@dataclass(frozen=True)
class _Call:
    """A call in a worker process. Errors are results, so that the process remains."""

    source: Source

    def __call__(self, task: _Task) -> Proposals | SourceError:
        try:
            return call_source(self.source, *task)
        except InputError as error:
            return SourceError(str(error))  # without its cause, which may not be picklable
