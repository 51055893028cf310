"""Threads and CUDA streams that compute on a device; a fake one in place of a GPU.

Tests with `cuda` in their names need a GPU.
"""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
import torch
from fake_cuda import FakeCuda, FakeStream

from frcnn_cli.engine.distributed.streams import IMAGES_ON_GPU, Streams, to_device

CPU = torch.device("cpu")
THREADS = Streams(CPU, 3)  # as on a GPU, without one
SOON = 60  # seconds; what a test waits for happens at once, but the machine may be busy


@pytest.mark.parametrize("streams", [Streams(), THREADS])
def test_items_are_prepared_by_threads_ahead_of_the_computation(streams: Streams) -> None:
    """While an item is computed, as many others as there are threads; results are in order."""
    ahead = 2
    prepared = {item: threading.Event() for item in range(9)}
    preparing: set[threading.Thread] = set()

    def prepare(item: int) -> int:
        preparing.add(threading.current_thread())
        prepared[item].set()
        return 10 * item

    def compute(value: int) -> int:
        for later in range(value // 10, min(value // 10 + ahead + 1, 9)):
            assert prepared[later].wait(SOON)
        return value + 1

    results = list(streams.pipeline(prepare, compute, range(9), threads=ahead))
    assert results == [10 * item + 1 for item in range(9)]
    assert len(preparing) <= ahead
    assert threading.current_thread() not in preparing


def test_a_failed_computation_has_a_result_in_its_place() -> None:
    def compute(item: int) -> int:
        if item == 2:
            raise ZeroDivisionError
        return item

    def failed(item: int, error: Exception) -> int:
        return -10 * item

    for streams in (Streams(), THREADS):
        results = streams.pipeline(lambda item: item, compute, range(4), failed=failed)
        assert list(results) == [0, 1, -20, 3]


def test_each_thread_computes_in_a_stream_of_its_own(fake_cuda: FakeCuda) -> None:
    gpu = torch.device("cuda")
    together = threading.Barrier(IMAGES_ON_GPU)

    def function(item: int) -> tuple[int, FakeStream, threading.Thread]:
        together.wait(SOON)
        stream = fake_cuda.current_stream(gpu)
        stream.calls.append("compute")
        return item, stream, threading.current_thread()

    for _ in range(2):  # the second time with the same streams, whose memory torch reuses
        results = list(Streams.of(gpu).map(function, range(2 * IMAGES_ON_GPU)))
        assert [item for item, _, _ in results] == list(range(2 * IMAGES_ON_GPU))
        of_thread = {thread: stream.name for _, stream, thread in results}
        assert len(set(of_thread.values())) == len(of_thread) == IMAGES_ON_GPU
        assert threading.current_thread() not in of_thread
    assert len(fake_cuda.created) == IMAGES_ON_GPU
    for stream in fake_cuda.created:
        once = ["wait for current", *["compute", "synchronize"] * 2]
        assert stream.calls == once * 2


def test_a_cpu_computes_in_the_calling_thread(fake_cuda: FakeCuda) -> None:
    taken = []
    results = Streams.of(CPU).map(lambda _: threading.current_thread(), map(taken.append, "ab"))
    assert next(results) is threading.current_thread()
    assert len(list(results)) == 1
    assert fake_cuda.created == []


def test_images_that_fit_alone_are_computed_alone(fake_cuda: FakeCuda) -> None:
    """Three start together on a device with room for one, which keeps its image meanwhile."""
    first, together = set(range(IMAGES_ON_GPU)), threading.Barrier(IMAGES_ON_GPU)
    items = range(3 * IMAGES_ON_GPU)

    def function(item: int) -> int:
        is_first = item in first
        first.discard(item)
        with fake_cuda.image(together if is_first else None):
            return 10 * item

    results = list(Streams.of(torch.device("cuda")).map(function, items))
    assert results == [10 * item for item in items]
    assert fake_cuda.emptied >= IMAGES_ON_GPU - 1


def test_an_image_that_does_not_fit_alone_fails_after_one_retry(fake_cuda: FakeCuda) -> None:
    attempts: list[int] = []

    def function(item: int) -> int:
        attempts.append(item)
        if item == 4:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return item

    gpu = torch.device("cuda")
    with pytest.raises(torch.OutOfMemoryError):
        list(Streams.of(gpu).map(function, range(9)))
    assert attempts.count(4) == 2
    results = list(Streams.of(gpu).map(function, range(9), lambda item, error: -item))
    assert results == [0, 1, 2, 3, -4, 5, 6, 7, 8]


def test_another_error_is_not_retried(fake_cuda: FakeCuda) -> None:
    attempts: list[int] = []

    def function(item: int) -> int:
        attempts.append(item)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(Streams.of(torch.device("cuda")).map(function, [0]))
    assert attempts == [0]
    assert fake_cuda.emptied == 0


@pytest.mark.parametrize("failing", ["function", "caller"])
def test_the_threads_have_ended_after_an_error(failing: str) -> None:
    """The interpreter would abort while they are in compiled code."""
    started, ended = threading.Event(), threading.Event()

    def function(item: int) -> int:
        if item == 1:
            started.set()
            time.sleep(0.5)
            ended.set()
        assert started.wait(SOON)
        if failing == "function" and item == 0:
            raise ZeroDivisionError
        return item

    def fail(item: int) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(map(fail, THREADS.map(function, range(2))))
    assert ended.is_set()


class FakeTensor:
    """A tensor in memory that records how it is copied."""

    device = CPU

    def __init__(self, calls: tuple[object, ...] = ()) -> None:
        self.calls = calls

    def pin_memory(self) -> FakeTensor:
        return FakeTensor((*self.calls, "pin"))

    def to(self, device: torch.device, **options: object) -> FakeTensor:
        return FakeTensor((*self.calls, device.type, options))


def test_a_gpu_reads_pinned_memory_and_a_cpu_the_tensor_itself() -> None:
    copied: Any = to_device(FakeTensor(), torch.device("cuda"))  # type: ignore[arg-type]
    assert copied.calls == ("pin", "cuda", {"non_blocking": True})
    tensor = torch.ones(2, 3)
    assert to_device(tensor, CPU) is tensor


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_streams_of_a_cuda_device_do_not_mix_their_images() -> None:
    """Memory that the copies use again does not change images that are still computed."""
    gpu = torch.device("cuda")
    images = [torch.randn(3, 400 + index % 7, 600) for index in range(60)]

    def function(image: torch.Tensor) -> torch.Tensor:
        on_gpu = to_device(image, gpu)
        for _ in range(20):
            on_gpu = on_gpu * 1.5 / 1.5
        torch.cuda._sleep(1_000_000)
        return (on_gpu * 2).cpu()

    for image, result in zip(images, Streams.of(gpu).map(function, images), strict=True):
        assert torch.allclose(result, 2 * image)
