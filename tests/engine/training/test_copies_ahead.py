"""Mini-batches are copied to a GPU while the one before is computed.

The test with `cuda` in its name needs a GPU; the others have a fake one.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from fake_cuda import FakeCuda, FakeStream

from frcnn_cli.engine.training.minibatches import Minibatch, on_device

GPU = torch.device("cuda")
SOON = 60  # seconds; what a test waits for happens at once, but the machine may be busy


class Share:
    """Stands for a mini-batch with one tensor, which is on the GPU after `to`."""

    is_cuda = False

    def __init__(self, number: int, cuda: FakeCuda) -> None:
        self.number, self.cuda = number, cuda
        self.copied, self.stream = threading.Event(), cuda.current
        self.used_by: FakeStream | None = None
        self.thread = threading.current_thread()

    def to(self, device: torch.device) -> Share:
        self.is_cuda, self.stream = True, self.cuda.current_stream(device)
        self.thread = threading.current_thread()
        self.copied.set()
        return self

    def tensors(self) -> dict[str, Share]:
        return {"images": self}

    def record_stream(self, stream: FakeStream) -> None:
        self.used_by = stream


def moved(shares: list[Share], taken: list[int] | None = None) -> Iterator[Any]:
    def items() -> Iterator[Any]:
        for share in shares:
            if taken is not None:
                taken.append(share.number)
            yield share

    return on_device(items(), GPU)


def test_the_next_share_is_copied_during_the_step(fake_cuda: FakeCuda) -> None:
    shares = [Share(number, fake_cuda) for number in range(6)]
    for number, share in enumerate(moved(shares)):
        assert share.number == number
        for later in shares[number + 1 : number + 2]:  # the step of this one is not over
            assert later.copied.wait(SOON)
    (stream,) = fake_cuda.created
    for share in shares:
        assert share.thread is not threading.current_thread()
        assert share.stream is stream
        assert share.used_by is fake_cuda.current  # so that its memory is not reused too early
    assert stream.calls == ["wait for current", *["synchronize"] * len(shares)]


def test_few_shares_are_on_the_gpu(fake_cuda: FakeCuda) -> None:
    shares, taken = [Share(number, fake_cuda) for number in range(6)], list[int]()
    for share in moved(shares, taken):
        assert taken == list(range(min(share.number + 2, 6)))


def test_an_error_of_a_worker_follows_the_shares_before_it(fake_cuda: FakeCuda) -> None:
    def items() -> Iterator[Any]:
        yield Share(0, fake_cuda)
        yield Share(1, fake_cuda)
        raise ValueError("a worker failed")

    shares = on_device(items(), GPU)
    assert [next(shares).number, next(shares).number] == [0, 1]  # type: ignore[attr-defined]
    with pytest.raises(ValueError, match="a worker failed"):
        next(shares)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_copies_to_cuda_do_not_change_what_a_step_reads() -> None:
    """Although the memory of each share is freed before the GPU has read it."""
    generator = torch.Generator().manual_seed(0)
    shares = [
        Minibatch(
            images=torch.randn(2, 3, 200, 300 + index % 5, generator=generator),
            rois=torch.rand(64, 5, generator=generator),
            labels=torch.arange(64),
            targets=torch.zeros(64, 4),
            image_ids=("a", "b"),
        )
        for index in range(40)
    ]
    sums = []
    for share in on_device(iter(shares), GPU):
        torch.cuda._sleep(2_000_000)
        sums.append((share.images.double().sum(), share.rois.double().sum()))
    for share, (images, rois) in zip(shares, sums, strict=True):
        assert images.item() == pytest.approx(share.images.double().sum().item())
        assert rois.item() == pytest.approx(share.rois.double().sum().item())
