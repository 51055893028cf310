"""One image of a mini-batch: its pixels as network input, and the RoIs sampled from it.

Values that are the same in every epoch are cached: the overlaps of proposals with objects, and
the decoded pixels, resized if that comes before normalising.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any, TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from frcnn_cli.engine.boxes import flip_boxes
from frcnn_cli.engine.network.transforms import image_scale, normalised, unnormalised
from frcnn_cli.engine.records import GroundTruth, ImageRecord, ReadFile
from frcnn_cli.engine.seeds import generator_for
from frcnn_cli.engine.settings import Architecture, Preprocessing, TrainSettings
from frcnn_cli.engine.training.sampling import (
    Quota,
    RankedSample,
    RoiSample,
    all_rois,
    candidates_of,
    memory_names,
    sample_ranked,
    sample_rois,
)
from frcnn_cli.engine.training.weak.labels import image_labels
from frcnn_proposals.base import Proposals
from frcnn_proposals.images import decode_image, digest_of, read_image_bytes

# Per process that prepares images: about 1,500 of 500 x 375 at scale 400, with their overlaps.
CACHE_BYTES = 1 << 30
NO_LABELS = np.zeros((0, 0), np.int64)


@dataclass(frozen=True)
class DecodedImage:
    """An image before it is normalised.

    pixels: (h, w, 3) uint8, from `unnormalised`. height, width: of the original. file: what reading
    the image file showed.
    """

    pixels: NDArray[np.uint8]
    height: int
    width: int
    file: ReadFile


@dataclass(frozen=True)
class TrainingImage:
    """An image ready for a mini-batch.

    image: (3, h, w). factor: from original to input pixels. sample: in original pixels.
    dropout_seed: seed of the head's dropout for its RoIs. file: what reading the image file showed.
    ranked: RoIs for the ranker. truth: all objects, for the second head; empty if there is none.
    Both are in original pixels. labels: (1, K), of the image; empty to train with boxes.
    """

    image: Tensor
    factor: float
    sample: RoiSample
    dropout_seed: int
    file: ReadFile
    ranked: RankedSample
    truth: GroundTruth
    labels: NDArray[np.int64]


class TrainingImages:
    """Prepares images; all random choices for an image depend only on (seed, epoch, image)."""

    def __init__(
        self,
        proposals: Mapping[str, Proposals],
        architecture: Architecture,
        settings: TrainSettings,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self.proposals = proposals
        self.architecture = architecture
        self.settings = settings
        own = architecture.preprocessing
        scales = settings.sampling.scales or (own.scale,)
        # One per training scale; max_size limits all of them.
        self._inputs = [replace(own, scale=scale) for scale in scales]
        self._cache = Cache(cache_bytes)

    def prepare(self, record: ImageRecord, quota: Quota, epoch: int) -> TrainingImage:
        """The image as used in this epoch. Raises InputError if it cannot be read."""
        settings, name = self.settings, record.image_id
        generator = generator_for(settings.seed, epoch, name)
        is_flipped = settings.sampling.flip and generator.random() < 0.5
        candidates = self._cache.get(name, lambda: candidates_of(record, self.proposals, settings))
        if settings.is_weak:
            sample = all_rois(candidates)
        else:
            coding = self.architecture.box_coding
            sample = sample_rois(candidates, quota, settings.sampling, generator, coding)
        index = int(generator.integers(len(self._inputs)))
        preprocessing = self._inputs[index]
        # Images that are resized after normalising are the same at every scale before it.
        key = (name, index if preprocessing.resize == "uint8" else -1)
        decoded = self._cache.get(key, lambda: _read(record, preprocessing))
        pixels, width = decoded.pixels, decoded.width
        dropout_seed = int(generator.integers(2**63))
        # The last draw, so that the others are the same with and without a ranker.
        ranked = sample_ranked(candidates, settings.ranked_rois, generator)
        truth = GroundTruth()
        if settings.cascade_iou > 0 and record.truth is not None:
            truth = record.truth
        if is_flipped:
            pixels, sample = pixels[:, ::-1], _flipped(sample, width)
            ranked = replace(ranked, boxes=flip_boxes(ranked.boxes, width))
            truth = replace(truth, boxes=flip_boxes(truth.boxes, width))
        return TrainingImage(
            normalised(pixels, preprocessing),
            image_scale(decoded.height, decoded.width, preprocessing),
            sample,
            dropout_seed,
            decoded.file,
            ranked,
            truth,
            image_labels(record, len(self.architecture.classes)) if settings.is_weak else NO_LABELS,
        )


def _read(record: ImageRecord, preprocessing: Preprocessing) -> DecodedImage:
    with memory_names(record.path):
        data = read_image_bytes(record.path)
        image = decode_image(data, record.path)
        pixels = unnormalised(image, preprocessing)
    height, width = image.shape[:2]
    return DecodedImage(pixels, height, width, ReadFile(digest_of(data), (width, height)))


def _flipped(sample: RoiSample, width: int) -> RoiSample:
    """The same RoIs in the mirrored image; tx changes its sign."""
    targets = sample.targets * np.array([-1, 1, 1, 1], np.float32)
    return RoiSample(flip_boxes(sample.boxes, width), sample.labels, targets)


Value = TypeVar("Value")


class Cache:
    """Values by key, up to a limit in bytes; beyond it, nothing is added or replaced.

    An epoch takes every image once, so it does not matter which images are cached.
    """

    def __init__(self, limit_bytes: int) -> None:
        self.left = limit_bytes
        self._values: dict[Hashable, Any] = {}

    def get(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """The cached value of `key`, or a new one from `make`."""
        if key in self._values:
            return cast("Value", self._values[key])
        value = make()
        size = _size(value)
        if size <= self.left:
            self.left -= size
            self._values[key] = value
        return value


def _size(value: Any) -> int:
    """Bytes of an array, or of the arrays in a dataclass."""
    if is_dataclass(value):
        return sum(_size(getattr(value, field.name)) for field in fields(value))
    return int(getattr(value, "nbytes", 0))
