"""Images ahead of a device, and several at the same time on it; a fake one in place of a GPU.

Tests with `cuda` in their names need a GPU.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch

from frcnn_cli.engine.detection.images import FileResult, process_files
from frcnn_cli.engine.detection.prepare import prepare_model
from frcnn_cli.engine.detection.reduction import detect_reduced
from frcnn_cli.engine.distributed.streams import Streams
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.records import Detections
from frcnn_cli.engine.settings import DetectSettings
from frcnn_proposals.base import Image, Proposals
from frcnn_proposals.errors import InputError
from frcnn_proposals.images import ReducedImage
from frcnn_proposals.sources.dense import DenseBoxes

CPU = torch.device("cpu")
THREADS = Streams(CPU, 3)  # as on a GPU, without one
SOON = 60  # seconds; what a test waits for happens at once, but the machine may be busy
needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.fixture
def files(tmp_path: Path) -> list[tuple[str, str | Path]]:
    """Images 0 to 8; every pixel of an image has its number as its value."""
    for index in range(9):
        PIL.Image.new("RGB", (64, 48), (index, index, index)).save(tmp_path / f"{index}.png")
    return [(str(index), tmp_path / f"{index}.png") for index in range(9)]


def dense(_: str, image: Image) -> Proposals:
    return DenseBoxes(step=0.5).propose(image)


def value_of(_: str, image: ReducedImage, proposals: Proposals) -> int:
    return int(image.pixels[0, 0, 0])


def unchanged(_: str, value: int) -> int:
    return value


def processed(
    files: list[tuple[str, str | Path]],
    compute: Callable[[str, ReducedImage, Proposals], int] = value_of,
    propose: Callable[[str, Image], Proposals] = dense,
    store: Callable[[str, int], int] = unchanged,
) -> Iterator[FileResult[int]]:
    return process_files(compute, store, files, propose, THREADS, threads=2)


def test_later_images_are_prepared_while_the_device_computes(
    files: list[tuple[str, str | Path]],
) -> None:
    """The device is not done with an image before two later ones are decoded and proposed for."""
    prepared = {image_id: threading.Event() for image_id, _ in files}

    def propose(image_id: str, image: Image) -> Proposals:
        prepared[image_id].set()
        return dense(image_id, image)

    def compute(image_id: str, image: ReducedImage, proposals: Proposals) -> int:
        for later in range(int(image_id) + 1, min(int(image_id) + 3, len(files))):
            assert prepared[str(later)].wait(SOON), f"{later} waits for {image_id}"
        return value_of(image_id, image, proposals)

    assert [result.found for result in processed(files, compute, propose)] == list(range(9))


def test_the_device_has_several_images_at_the_same_time(
    files: list[tuple[str, str | Path]],
) -> None:
    together = threading.Barrier(THREADS.count)

    def compute(image_id: str, image: ReducedImage, proposals: Proposals) -> int:
        together.wait(SOON)
        return value_of(image_id, image, proposals)

    assert [result.found for result in processed(files, compute)] == list(range(9))


def test_results_are_in_order_and_stored_by_this_thread(
    files: list[tuple[str, str | Path]],
) -> None:
    """Although every third image is done after the two that follow it."""
    done = {image_id: threading.Event() for image_id, _ in files}
    stored: list[tuple[str, threading.Thread]] = []

    def compute(image_id: str, image: ReducedImage, proposals: Proposals) -> int:
        if int(image_id) % 3 == 0:
            assert all(done[str(int(image_id) + later)].wait(SOON) for later in (1, 2))
        done[image_id].set()
        return value_of(image_id, image, proposals)

    def store(image_id: str, value: int) -> int:
        stored.append((image_id, threading.current_thread()))
        return 10 * value

    results = list(processed(files, compute, store=store))
    assert [result.found for result in results] == [10 * value for value in range(9)]
    assert stored == [(image_id, threading.current_thread()) for image_id, _ in files]


def test_an_error_is_that_of_its_image(files: list[tuple[str, str | Path]]) -> None:
    Path(files[1][1]).write_text("not an image")

    def fail_at(failing: str) -> Callable[..., int]:
        def function(image_id: str, *values: Any) -> int:
            if image_id == failing:
                raise InputError(f"an error of {image_id}")
            return value_of(image_id, *values) if len(values) == 2 else values[0]

        return function

    def propose(image_id: str, image: Image) -> Proposals:
        if image_id == "3":
            raise ValueError("an error in the source")
        return dense(image_id, image)

    results = list(processed(files, fail_at("5"), propose, fail_at("7")))
    assert [result.found for result in results] == [0, None, 2, None, 4, None, 6, None, 8]
    for index, message in ((1, "1.png"), (3, "in the source"), (5, "of 5"), (7, "of 7")):
        assert message in str(results[index].error)


def test_few_images_are_in_memory(files: list[tuple[str, str | Path]]) -> None:
    """However fast they are prepared and however slowly the results are used."""
    prepared: list[str] = []

    def propose(image_id: str, image: Image) -> Proposals:
        prepared.append(image_id)
        return dense(image_id, image)

    many = files * 5
    for taken, _ in enumerate(processed(many, propose=propose), start=1):
        # One result is used; those in the two queues are computed or wait.
        assert len(prepared) <= taken + THREADS.count + 2
    assert len(prepared) == len(many)


def test_an_interrupt_does_not_wait_for_the_device(files: list[tuple[str, str | Path]]) -> None:
    started, released = threading.Event(), threading.Event()

    def compute(image_id: str, image: ReducedImage, proposals: Proposals) -> int:
        started.set()
        released.wait(SOON)
        return value_of(image_id, image, proposals)

    def interrupt() -> None:
        started.wait(SOON)
        os.kill(os.getpid(), signal.SIGINT)

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    threading.Thread(target=interrupt).start()
    try:
        with pytest.raises(KeyboardInterrupt):
            next(processed(files, compute))
        assert not released.is_set()
    finally:
        released.set()
        signal.signal(signal.SIGINT, before)


def test_detections_have_the_same_bits(
    small_model: FastRCNN, files: list[tuple[str, str | Path]], tmp_path: Path
) -> None:
    for index, path in enumerate(path for _, path in files):
        pixels = np.random.default_rng(index).integers(0, 256, (48, 64, 3), np.uint8)
        PIL.Image.fromarray(pixels).save(path)
    expected, *others = (
        detected(prepare_model(small_model), files, streams) for streams in (Streams(CPU), THREADS)
    )
    assert same(expected, others[0])


def detected(
    model: FastRCNN, files: list[tuple[str, str | Path]], streams: Streams
) -> list[Detections]:
    settings = DetectSettings(score_threshold=0.0)

    def compute(_: str, image: ReducedImage, proposals: Proposals) -> Detections:
        return detect_reduced(model, image, proposals, settings)

    results = process_files(compute, lambda _, found: found, files, dense, streams)
    return [result.found for result in results if result.found is not None]


def same(first: list[Detections], second: list[Detections]) -> bool:
    assert len(first) == len(second) > 0
    assert all(len(found) > 0 for found in first)
    return all(
        np.array_equal(getattr(a, name), getattr(b, name))
        for a, b in zip(first, second, strict=True)
        for name in ("boxes", "scores", "labels")
    )


@needs_gpu
def test_detections_on_cuda_have_the_bits_of_one_image_at_a_time(
    small_model: FastRCNN, files: list[tuple[str, str | Path]]
) -> None:
    for index, path in enumerate(path for _, path in files):
        pixels = np.random.default_rng(index).integers(0, 256, (48, 64, 3), np.uint8)
        PIL.Image.fromarray(pixels).save(path)
    gpu = torch.device("cuda")
    model = prepare_model(small_model.to(gpu))
    assert same(
        detected(model, files * 5, Streams(gpu)), detected(model, files * 5, Streams.of(gpu))
    )
