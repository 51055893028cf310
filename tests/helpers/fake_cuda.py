"""Replacements for the functions of torch.cuda that the code calls, which record the calls."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch

from frcnn_cli.engine.distributed import streams


class FakeStream:
    """A stream that records its calls."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.calls: list[str] = []

    def wait_stream(self, other: FakeStream) -> None:
        self.calls.append(f"wait for {other.name}")

    def synchronize(self) -> None:
        self.calls.append("synchronize")


class FakeCuda:
    """Streams in place of those of torch.cuda, and memory for some images.

    created: all streams but `current`, that of the tests. room: number of images that fit into the
    memory. emptied: number of calls of `empty_cache`.
    """

    def __init__(self) -> None:
        self.current = FakeStream("current")
        self.created: list[FakeStream] = []
        self.room = 1
        self.emptied = 0
        self._own = threading.local()
        self._lock = threading.Lock()

    def Stream(self, device: torch.device) -> FakeStream:
        with self._lock:  # several threads create their streams at the same time
            self.created.append(FakeStream(str(len(self.created))))
            return self.created[-1]

    def current_stream(self, device: torch.device) -> FakeStream:
        stream: FakeStream = getattr(self._own, "stream", self.current)
        return stream

    @contextmanager
    def stream(self, stream: FakeStream) -> Iterator[None]:
        self._own.stream = stream
        yield
        del self._own.stream

    def empty_cache(self) -> None:
        self.emptied += 1

    @contextmanager
    def image(self, together: threading.Barrier | None = None) -> Iterator[None]:
        """Memory for an image. Raises OutOfMemoryError if others occupy it.

        together: wait here until the others have tried, too; one keeps its memory meanwhile.
        """
        with self._lock:
            has_room = self.room > 0
            self.room -= has_room
        try:
            if together is not None:
                together.wait(60)
            if not has_room:
                raise torch.OutOfMemoryError("CUDA out of memory.")
            yield
        finally:
            with self._lock:
                self.room += has_room


@contextmanager
def installed_cuda(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeCuda]:
    """Replace the functions of torch.cuda within the block."""
    fake = FakeCuda()
    for name in ("Stream", "current_stream", "stream", "empty_cache"):
        monkeypatch.setattr(torch.cuda, name, getattr(fake, name))
    streams._stream.cache_clear()
    yield fake
    streams._stream.cache_clear()
