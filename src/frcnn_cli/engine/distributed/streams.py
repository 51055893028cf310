"""Keep a GPU busy: several images at the same time, and copies that nothing waits for."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, TypeVar

from frcnn_cli.engine.distributed.devices import usable_cores
from frcnn_cli.engine.distributed.prefetch import prefetch, returning_memory
from frcnn_proposals.errors import ran_out_of_memory

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Item = TypeVar("Item")
Prepared = TypeVar("Prepared")
Result = TypeVar("Result")
# Images on a GPU at the same time. While it computes one, the input of another is prepared and
# copied, and the results of a third are read.
IMAGES_ON_GPU = 3


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """Copy a tensor to `device`.

    A GPU reads it from pinned memory, so that this thread and the other streams do not wait for the
    copy. Torch does not reuse the pinned memory before the copy has ended.
    """
    if device.type != "cuda" or tensor.device.type != "cpu":
        return tensor.to(device)
    return tensor.pin_memory().to(device, non_blocking=True)


@dataclass(frozen=True)
class Streams:
    """Threads that compute on a device; on a GPU, each in its own CUDA stream.

    device: None for work that needs none. count: number of threads. With 0, the calling thread
    computes, as on a CPU, where one image already uses all cores.
    """

    device: torch.device | None = None
    count: int = 0

    @classmethod
    def of(cls, device: torch.device, count: int = IMAGES_ON_GPU) -> Streams:
        """`count` streams of a GPU, or none on a CPU."""
        return cls(device, count if device.type == "cuda" else 0)

    def pipeline(
        self,
        prepare: Callable[[Item], Prepared],
        compute: Callable[[Prepared], Result],
        items: Iterable[Item],
        threads: int | None = None,
        failed: Callable[[Prepared, Exception], Result] | None = None,
    ) -> Iterator[Result]:
        """Yield `compute(prepare(item))` for every item, in order; for `failed`, see `map`.

        `prepare` is called in `threads` threads (None: one per core), a few items ahead of
        `compute`; with 0, by the thread that takes the items.
        """
        ahead = prefetch(prepare, items, usable_cores() if threads is None else threads)
        return self.map(compute, returning_memory(ahead), failed)

    def map(
        self,
        function: Callable[[Item], Result],
        items: Iterable[Item],
        failed: Callable[[Item, Exception], Result] | None = None,
    ) -> Iterator[Result]:
        """Yield `function(item)` for every item, in order.

        This thread takes the items. While the caller processes one result, at most `count` further
        ones are computed or waiting. An item for which the GPU lacks memory is computed again while
        no other item is computed. An exception is raised in place of its result; if `failed` is
        given, its value for the exception is the result. At the end, also after an error, the
        threads have ended: the interpreter aborts if it exits while they compute. A result is
        complete: all work of its stream has ended. If it has tensors on the GPU, call
        `record_stream` on them before other streams use them.
        """
        call = function if self.count == 0 else self._in_own_stream(function)
        if failed is not None:
            call = _or_failed(call, failed)
        if self.count == 0:
            return map(call, items)
        return prefetch(call, items, self.count, join=True)

    def _in_own_stream(self, function: Callable[[Item], Result]) -> Callable[[Item], Result]:
        """The function, called in another CUDA stream by each thread."""
        if self.device is None or self.device.type != "cuda":
            return function
        import torch

        device, numbers, own = self.device, itertools.count(), threading.local()
        # This stream may still copy the weights.
        before = torch.cuda.current_stream(device)
        turns = _Turns()

        def compute(item: Item) -> Result:
            if not hasattr(own, "stream"):
                own.stream = _stream(device, next(numbers))
                own.stream.wait_stream(before)
            with torch.cuda.stream(own.stream):
                result = function(item)
                own.stream.synchronize()
            return result

        def call(item: Item) -> Result:
            with turns.turn():
                try:
                    return compute(item)
                except Exception as error:
                    if not ran_out_of_memory(error):
                        raise
            # Not in the `except` block: the exception keeps the tensors of the first attempt.
            with turns.turn(alone=True):
                torch.cuda.empty_cache()
                return compute(item)

        return call


class _Turns:
    """When threads may compute: several images together, or one alone.

    A thread that waits to be alone goes first; no thread has two turns at the same time.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._computing = 0
        self._first = 0  # threads that are alone, or wait for it

    @contextmanager
    def turn(self, alone: bool = False) -> Iterator[None]:
        """Wait until this thread may compute, at the same time as others or alone."""
        with self._changed:
            self._first += alone
            self._changed.wait_for(lambda: (self._computing if alone else self._first) == 0)
            self._computing += 1
        try:
            yield
        finally:
            with self._changed:
                self._computing -= 1
                self._first -= alone
                self._changed.notify_all()


def _or_failed(
    function: Callable[[Item], Result], failed: Callable[[Item, Exception], Result]
) -> Callable[[Item], Result]:
    """The function, with the value of `failed` in place of an exception."""

    def call(item: Item) -> Result:
        try:
            return function(item)
        except Exception as error:
            return failed(item, error)

    return call


@cache
def _stream(device: torch.device, number: int) -> torch.cuda.Stream:
    """A stream that all callers share, since torch reuses memory only within a stream."""
    import torch

    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
