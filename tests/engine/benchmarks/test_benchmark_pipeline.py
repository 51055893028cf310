"""How long the device of a pipeline waits: sums by hand, a simulated device, and a CPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from rich.console import Console
from torch.autograd import DeviceType

from frcnn_cli.commands.bench.detect import _pipeline_table
from frcnn_cli.engine.benchmarks import pipeline
from frcnn_cli.engine.benchmarks.pipeline import (
    Intervals,
    Network,
    PipelineTimes,
    SimulatedNetwork,
    simulate,
    time_by_workers,
    time_pipeline,
)
from frcnn_cli.engine.detection.stage_times import sample_proposals
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_proposals.base import Image, Proposals

BOXES = sample_proposals(50, 60, 80)


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / f"{index}.png" for index in range(6)]
    for index, path in enumerate(paths):
        pixels = np.random.default_rng(index).integers(0, 256, (60, 80, 3), np.uint8)
        PIL.Image.fromarray(pixels).save(path)
    return paths


def numbered(files: list[Path]) -> list[tuple[str, str | Path]]:
    return [(str(index), path) for index, path in enumerate(files)]


def given(image_id: str, image: Image) -> Proposals:
    return BOXES


def test_overlapping_intervals_count_once() -> None:
    times = Intervals({"a": [(5.0, 7.0), (0.0, 2.0), (1.0, 4.0), (1.5, 3.0)]})
    assert times.covered("a") == 4 + 2
    assert times.total("a") == 2 + 2 + 3 + 1.5
    assert times.covered("b") == times.total("b") == 0


def test_a_simulated_device_computes_one_image_at_a_time(files: list[Path]) -> None:
    """Although several are in its streams: no work overlaps, and none is missing."""
    network, all_times = SimulatedNetwork(0.02), list[Intervals]()
    watched = network.watched

    @contextmanager
    def noted(times: Intervals) -> Iterator[None]:
        all_times.append(times)
        with watched(times):
            yield

    network.watched = noted  # type: ignore[method-assign]
    found = time_pipeline("simulated", network, numbered(files), given, workers=2)
    (times,) = all_times
    assert len(times.found["device"]) == 2 * len(files)  # before and after the windows
    assert times.covered("device") == pytest.approx(times.total("device"))
    assert times.covered("device") == pytest.approx(0.02 * len(files))
    assert found.waiting == pytest.approx(1 - times.covered("device") / found.seconds)
    assert found.no_image == pytest.approx(1 - times.covered("image") / found.seconds)
    assert 0 <= found.no_image < 1
    assert 0 < found.waiting < 1


@pytest.mark.parametrize(("search_ms", "images"), [(0, 0), (10, 3), (None, 3)])
def test_the_simulation_by_workers(files: list[Path], search_ms: float | None, images: int) -> None:
    found = simulate(files, 5, [1, 2], search_ms, images)
    assert [times.workers for times in found] == [1, 2]
    for times in found:
        assert times.images == len(files)
        assert times.images_per_s == pytest.approx(len(files) / times.seconds)
        assert times.search_s >= (1 if search_ms is None else search_ms) / 1e3
        assert times.network_s >= 0.005
        assert times.to_json()["images_per_s"] == times.images_per_s


def test_a_network_on_a_cpu(small_model: FastRCNN, files: list[Path]) -> None:
    (times,) = time_by_workers("small", Network(small_model), numbered(files), given, [1])
    assert min(times.after_s, times.network_s) > 0
    assert times.copy_s == 0
    assert times.no_image == times.waiting  # it computes whenever it has an image
    assert times.images * (times.network_s + times.after_s) <= times.seconds


def test_a_gpu_is_busy_while_any_of_its_streams_computes(
    small_model: FastRCNN, monkeypatch: pytest.MonkeyPatch
) -> None:
    def event(name: str, start: int, end: int, device: DeviceType = DeviceType.CUDA) -> Any:
        interval = SimpleNamespace(start=start, end=end)
        return SimpleNamespace(name=name, device_type=device, time_range=interval)

    events = [
        event("Memcpy HtoD (Pinned -> Device)", 1_000_000, 1_500_000),
        event("convolution", 1_250_000, 3_000_000),
        event("Memcpy DtoH (Device -> Pinned)", 4_000_000, 4_250_000),
        event("aten::conv2d", 0, 9_000_000, DeviceType.CPU),
    ]

    @contextmanager
    def profile(activities: object) -> Iterator[Any]:
        yield SimpleNamespace(events=lambda: events)

    monkeypatch.setattr(pipeline, "profile", profile)
    network, times = Network(small_model), Intervals()
    network._device = torch.device("cuda")
    with network.watched(times):
        pass
    assert times.covered("device") == 2 + 0.25
    assert times.total("copy") == 0.5


def test_the_table_shows_where_the_time_goes() -> None:
    times = PipelineTimes("lite-made", 4, 200, 8.0, 0.12, 0.0151, 0.002, 0.0003, 0.25, 0.5)
    console = Console(width=200)
    with console.capture() as capture:
        console.print(_pipeline_table([times]))
    row = "lite-made 4 25.0 120.0 0.3 15.1 2.0 25.0% 50.0%"
    assert row in " ".join(capture.get().replace("│", " ").split())
