"""Images per second by number of workers, where the time goes, and how long the device waits.

Images go through process_files, as in detection: workers decode images and compute proposals, and
streams run the network.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.autograd import DeviceType  # type: ignore[attr-defined]
from torch.profiler import ProfilerActivity, profile

from frcnn_cli.engine.benchmarks.measuring import BenchmarkResult
from frcnn_cli.engine.detection.image import candidates_of, read_views, score_views
from frcnn_cli.engine.detection.images import process_files
from frcnn_cli.engine.detection.stage_times import sample_proposals
from frcnn_cli.engine.detection.suppression import suppress
from frcnn_cli.engine.detection.views import read_maps
from frcnn_cli.engine.distributed.streams import IMAGES_ON_GPU, Streams
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.network.transforms import distinct_windows
from frcnn_cli.engine.proposals.source_calls import Propose, SourceCalls
from frcnn_cli.engine.records import ImageFile
from frcnn_cli.engine.settings import Architecture, DetectSettings, Preprocessing
from frcnn_proposals.base import Image, Proposals
from frcnn_proposals.images import ReducedImage
from frcnn_proposals.sources.selective_search import SelectiveSearch

SETTINGS = DetectSettings(score_threshold=0.0)
Interval = tuple[float, float]  # start and end, in seconds


@dataclass(frozen=True)
class PipelineTimes(BenchmarkResult):
    """One run over all images. workers: threads that decode images and compute proposals.

    search_s: seconds of a worker per image; 0 if proposals are given. network_s, after_s: seconds
    of a stream per image, from pixels to scores and from these to detections in memory; several
    streams work at the same time. copy_s: seconds of copies to the device per image. no_image:
    share of the time without a decoded image with proposals in a stream. waiting: share of the time
    in which the device does nothing.
    """

    name: str
    workers: int
    images: int
    seconds: float
    search_s: float
    network_s: float
    after_s: float
    copy_s: float
    no_image: float
    waiting: float

    @property
    def images_per_s(self) -> float:
        return self.images / self.seconds


@dataclass
class Intervals:
    """The times of each kind of work, in all threads; any thread can add to them."""

    found: dict[str, list[Interval]] = field(default_factory=dict)

    @contextmanager
    def during(self, *names: str) -> Iterator[None]:
        """Add the time of the block to all `names`."""
        start = time.perf_counter()
        yield
        for name in names:
            self.found.setdefault(name, []).append((start, time.perf_counter()))

    def total(self, name: str) -> float:
        """The seconds of all threads together."""
        return sum(end - start for start, end in self.found.get(name, []))

    def covered(self, name: str) -> float:
        """The seconds in which at least one thread did this work."""
        seconds, last = 0.0, float("-inf")
        for start, end in sorted(self.found.get(name, [])):
            seconds += max(0.0, end - max(start, last))
            last = max(last, end)
        return seconds


class Network:
    """Detection with a network on its device."""

    def __init__(self, model: FastRCNN) -> None:
        self._model, self._device = model, model.offset_means.device
        self.streams = Streams.of(self._device)

    @torch.inference_mode()
    def compute(self, times: Intervals, image: Image, proposals: Proposals) -> None:
        """The steps of detect_image, each with its time."""
        boxes, size = proposals.top(SETTINGS.proposals).boxes, image.shape[:2]
        with times.during("network"):
            outputs = score_views(read_views(self._model, image, boxes, SETTINGS), size, SETTINGS)
            if self._device.type == "cuda":
                torch.cuda.current_stream(self._device).synchronize()
        with times.during("after"):
            found = candidates_of(outputs, SETTINGS)
            kept = suppress(found, SETTINGS)
            for values in (found.boxes, found.scores, found.labels):
                values[kept].cpu()

    @contextmanager
    def watched(self, times: Intervals) -> Iterator[None]:
        """Measure when the device is busy within the block: a CPU while it computes an image."""
        if self._device.type != "cuda":
            yield
            times.found["device"] = times.found.get("image", [])
            return
        with profile(activities=[ProfilerActivity.CUDA]) as profiler:
            yield
        for event in profiler.events() or []:
            if event.device_type == DeviceType.CUDA:
                interval = event.time_range.start / 1e6, event.time_range.end / 1e6
                is_copy = event.name.startswith("Memcpy HtoD")
                for name in ("device", "copy") if is_copy else ("device",):
                    times.found.setdefault(name, []).append(interval)


class _Launch(nn.Module):
    """The feature layers of a simulated device: (1, 3, H, W) -> (1, 1, H / 16, W / 16)."""

    def __init__(self, launch: Callable[[], float]) -> None:
        super().__init__()
        self.launch = launch

    def forward(self, images: Tensor) -> Tensor:
        self.launch()
        return images.new_zeros(1, 1, images.shape[2] // 16, images.shape[3] // 16)


class SimulatedNetwork:
    """A device that is busy for `seconds` per image, in the order of the launches.

    A thread continues after a launch, as with a GPU, and sleeps until the work of its image ends.
    The processor does what it does for a GPU: decoding, proposals, the input of the network at the
    paper's scale, and the comparison of windows. Layers, suppression and copies are not computed.
    """

    def __init__(self, seconds: float, images_on_device: int = IMAGES_ON_GPU) -> None:
        self.streams = Streams(torch.device("cpu"), images_on_device)
        self._half, self._lock, self._end = seconds / 2, threading.Lock(), 0.0
        self._times = Intervals()
        preprocessing = Preprocessing(scale=600, max_size=1000)
        architecture = Architecture("efficientnet_lite0", ("object",), (8, 8), preprocessing)
        self._model = FastRCNN(architecture).eval()
        self._model.features = _Launch(self._launch)

    def _launch(self) -> float:
        """Add half of the work of an image to that of the device; returns the time of its end."""
        with self._lock:
            start = max(time.perf_counter(), self._end)
            self._end = start + self._half
            self._times.found.setdefault("device", []).append((start, self._end))
            return self._end

    @torch.inference_mode()
    def compute(self, times: Intervals, image: Image, proposals: Proposals) -> None:
        """Feature layers, windows, and the layers of the heads."""
        boxes = proposals.top(SETTINGS.proposals).boxes
        with times.during("network"):
            maps = read_maps(self._model, image, boxes, SETTINGS)
            distinct_windows(maps.rois, 16)
            end = self._launch()
            time.sleep(max(0.0, end - time.perf_counter()))

    @contextmanager
    def watched(self, times: Intervals) -> Iterator[None]:
        """Note the work of the device within the block."""
        self._times = times
        yield


def time_pipeline(
    name: str,
    network: Network | SimulatedNetwork,
    files: Sequence[ImageFile],
    propose: Propose,
    workers: int,
) -> PipelineTimes:
    """One run over `files` (image id, path)."""
    times = Intervals()

    def searched(image_id: str, image: Image) -> Proposals:
        with times.during("search"):
            return propose(image_id, image)

    def compute(_: str, image: ReducedImage, proposals: Proposals) -> bool:
        with times.during("image"):
            network.compute(times, image.pixels, proposals)
        return True

    start = time.perf_counter()
    with network.watched(times):
        results = process_files(
            compute, lambda _, done: done, files, searched, network.streams, threads=workers
        )
        done = sum(result.found is not None for result in results)
        seconds = time.perf_counter() - start
    assert done == len(files), "an image cannot be read"
    search, in_network, after, copy = (
        times.total(part) / done for part in ("search", "network", "after", "copy")
    )
    idle = (1 - times.covered(part) / seconds for part in ("image", "device"))
    return PipelineTimes(
        name, workers, done, seconds, search, in_network, after, copy, *(max(0.0, i) for i in idle)
    )


def time_by_workers(
    name: str,
    network: Network | SimulatedNetwork,
    files: Sequence[ImageFile],
    propose: Propose,
    workers: Iterable[int],
    on_run: Callable[[], None] = lambda: None,
) -> list[PipelineTimes]:
    """One run per number of workers, after one image that is not timed."""
    time_pipeline(name, network, files[:1], propose, 1)
    found = []
    for number in workers:
        found.append(time_pipeline(name, network, files, propose, number))
        on_run()
    return found


def simulate(
    files: Sequence[Path],
    network_ms: float,
    workers: Iterable[int],
    search_ms: float | None = 0,
    images_on_device: int = IMAGES_ON_GPU,
) -> list[PipelineTimes]:
    """The pipeline with a device that needs `network_ms` per image: see SimulatedNetwork.

    search_ms: how long a worker sleeps in place of a search; the boxes are random. None searches
    the images by selective search. images_on_device: see Streams.count.
    """
    boxes = sample_proposals()

    def sleep(image_id: str, image: Image) -> Proposals:
        if search_ms:
            time.sleep(search_ms / 1e3)
        return boxes

    propose = SourceCalls(SelectiveSearch("fast")) if search_ms is None else sleep
    numbered = [(str(index), path) for index, path in enumerate(files)]
    network = SimulatedNetwork(network_ms / 1e3, images_on_device)
    return time_by_workers("simulated", network, numbered, propose, workers)
