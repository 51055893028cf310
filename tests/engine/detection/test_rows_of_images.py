"""Rows for images: in order, with errors, by this thread or in streams."""

from __future__ import annotations

import threading

import numpy as np
import pytest
import torch
from fake_cuda import FakeCuda

from frcnn_cli.engine.detection.rows import map_items
from frcnn_cli.engine.distributed.streams import IMAGES_ON_GPU, Streams
from frcnn_cli.engine.parts.rows import Item
from frcnn_proposals.base import Proposals
from frcnn_proposals.errors import InputError

THREADS = Streams(torch.device("cpu"), 3)  # as on a GPU, without one
ITEMS = [Item(str(number), f"{number}.png") for number in range(9)]
NOTICE = ("image is odd", "images are odd")


def number_of(item: Item) -> int:
    if item.image_id == "4":
        raise InputError(f"{item.image}: cannot be read")
    return int(item.image_id)


def boxes_of(number: int) -> Proposals:
    return Proposals(np.full((number, 4), number, np.float32))


def test_several_images_are_computed_at_the_same_time() -> None:
    together = threading.Barrier(THREADS.count)

    def compute(number: int) -> Proposals:
        together.wait(60)
        return boxes_of(number)

    rows = list(map_items(ITEMS, lambda item: int(item.image_id), compute, streams=THREADS))
    assert [(row.image_id, len(row)) for row in rows] == [(str(n), n) for n in range(9)]


@pytest.mark.parametrize("streams", [None, THREADS])
def test_a_fault_of_the_program_is_not_a_row(streams: Streams | None) -> None:
    def compute(number: int) -> Proposals:
        return Proposals(np.zeros((2, 4), np.float32), np.zeros(3, np.float32))

    with pytest.raises(ValueError, match="scores have shape"):
        list(map_items(ITEMS, lambda item: item.image_id, compute, streams=streams))


@pytest.mark.parametrize("streams", [None, THREADS])
def test_an_image_that_fails_is_a_row(streams: Streams | None) -> None:
    def compute(number: int) -> Proposals:
        if number == 5:
            raise InputError("5.png: has no boxes")
        if number == 6:
            raise MemoryError
        return boxes_of(number)

    def notices(number: int) -> dict[tuple[str, str], int]:
        return {NOTICE: number % 2}

    rows = list(map_items(ITEMS, number_of, compute, notices, threads=2, streams=streams))
    assert [row.image_id for row in rows] == [item.image_id for item in ITEMS]
    errors = {row.image_id: row.error for row in rows if row.error is not None}
    assert errors.keys() == {"4", "5", "6"}
    assert errors["4"] == "4.png: cannot be read"
    assert errors["5"] == "5.png: has no boxes"
    assert errors["6"] == "6.png: computing detections failed (MemoryError: MemoryError)"
    assert [row.image_id for row in rows if row.notices == {NOTICE: 1}] == ["1", "3", "7"]


def test_images_that_fit_alone_have_no_error(fake_cuda: FakeCuda) -> None:
    """Although the memory of the device does not hold three at the same time."""
    first, together = set(range(IMAGES_ON_GPU)), threading.Barrier(IMAGES_ON_GPU)
    attempts: list[int] = []

    def compute(number: int) -> Proposals:
        attempts.append(number)
        is_first = number in first
        first.discard(number)
        with fake_cuda.image(together if is_first else None):
            return boxes_of(number)

    streams = Streams.of(torch.device("cuda"))
    rows = list(map_items(ITEMS, lambda item: int(item.image_id), compute, streams=streams))
    assert [(row.error, len(row)) for row in rows] == [(None, number) for number in range(9)]
    assert len(attempts) > len(ITEMS)


@pytest.mark.parametrize("streams", [None, THREADS])
def test_a_fault_of_the_code_is_raised(streams: Streams | None) -> None:
    def compute(number: int) -> Proposals:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        list(map_items(ITEMS, number_of, compute, streams=streams))
