"""Selective search of a large photo against an image of usual size: processor time and memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import cycle
from pathlib import Path
from statistics import median

import cv2
import numpy as np
import torch

from frcnn_cli.engine.benchmarks.measuring import BenchmarkResult, peak_growth
from frcnn_cli.engine.datasets.find import find_dataset
from frcnn_cli.engine.reporter import SILENT, Reporter
from frcnn_proposals.base import Image
from frcnn_proposals.images import read_image
from frcnn_proposals.sources.call import call_source
from frcnn_proposals.sources.selective_search import Mode, SelectiveSearch

PHOTO_WIDTH, PHOTO_HEIGHT = 4000, 3000


@dataclass(frozen=True)
class PhotoSearch(BenchmarkResult):
    """Results of one mode: processor seconds per image, and bytes including the pixels.

    Seconds are the minimum over the rounds; image_s is the median over the images. The bytes are
    those of the largest of the images, and of the photo.
    """

    mode: Mode
    images: int
    image_s: float
    photo_s: float
    image_bytes: int
    photo_bytes: int

    @property
    def ratio(self) -> float:
        """The time for the photo divided by that for an image."""
        return self.photo_s / self.image_s

    @property
    def extra_bytes(self) -> int:
        """How much more memory the photo takes."""
        return self.photo_bytes - self.image_bytes


def benchmark_photo(
    name: str,
    split: str = "trainval",
    data_root: Path | None = None,
    images: int = 5,
    rounds: int = 3,
    modes: Sequence[Mode] = ("fast", "quality"),
    reporter: Reporter = SILENT,
) -> list[PhotoSearch]:
    """Measure the search of a mosaic of 12 megapixels, and of `images` images of a dataset.

    The images are spread evenly over the split, and the mosaic is made of them. Searches are
    interleaved, on one thread. Reading the images is not measured.
    """
    records = find_dataset(name, split, data_root).images
    count = min(images, len(records))
    paths = [records[i * len(records) // count].path for i in range(count)]
    torch_threads, opencv_threads = torch.get_num_threads(), cv2.getNumThreads()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    try:
        with reporter.progress("Searching", len(modes) * rounds) as advance:
            return [_measure(mode, paths, rounds, partial(advance, 1)) for mode in modes]
    finally:
        torch.set_num_threads(torch_threads)
        cv2.setNumThreads(opencv_threads)


def mosaic(images: Sequence[Image], width: int, height: int) -> Image:
    """An image (height, width, 3) filled with `images` in rows, repeated and cut at the right."""
    result = np.zeros((height, width, 3), np.uint8)
    supply = cycle(images)
    y = 0
    while y < height:
        x, tallest = 0, 1
        while x < width:
            part = next(supply)[: height - y, : width - x]
            result[y : y + part.shape[0], x : x + part.shape[1]] = part
            x, tallest = x + part.shape[1], max(tallest, part.shape[0])
        y += tallest
    return result


def _measure(
    mode: Mode, paths: Sequence[Path], rounds: int, on_round: Callable[[str], None]
) -> PhotoSearch:
    source = SelectiveSearch(mode)
    images = [read_image(path) for path in paths]
    photo = mosaic(images, PHOTO_WIDTH, PHOTO_HEIGHT)
    call_source(source, "", images[0])  # loads the operators
    seconds = []
    for _ in range(rounds):
        seconds.append([_seconds(source, image) for image in [*images, photo]])
        on_round(mode)
    *image_s, photo_s = map(min, zip(*seconds, strict=True))
    largest = max(range(len(images)), key=lambda i: images[i].size)
    return PhotoSearch(
        mode,
        len(images),
        median(image_s),
        photo_s,
        images[largest].nbytes + peak_growth(_search, (mode, [paths[largest]], False)),
        photo.nbytes + peak_growth(_search, (mode, paths, True)),
    )


def _seconds(source: SelectiveSearch, image: Image) -> float:
    """Processor seconds from pixels to boxes."""
    start = time.process_time()
    call_source(source, "", image)
    return time.process_time() - start


def _search(mode: Mode, paths: Sequence[Path], is_mosaic: bool) -> Callable[[], object]:
    """The search of one image, or of the mosaic, with everything loaded that it needs."""
    images = [read_image(path) for path in paths]
    image = mosaic(images, PHOTO_WIDTH, PHOTO_HEIGHT) if is_mosaic else images[0]
    source = SelectiveSearch(mode)
    call_source(source, "", np.zeros((800, 800, 3), np.uint8))
    return partial(call_source, source, "", image)
