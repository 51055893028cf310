"""Convert pixels and boxes of the original image to input of the network, and batch them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from frcnn_cli.engine.boxes import areas
from frcnn_cli.engine.settings import DetectSettings, Preprocessing
from frcnn_proposals.base import Image


def image_scale(height: int, width: int, preprocessing: Preprocessing) -> float:
    """Factor that scales the shorter side to `scale`, with the longer side at most `max_size`."""
    shorter, longer = min(height, width), max(height, width)
    return min(preprocessing.scale / shorter, preprocessing.max_size / longer)


def image_tensor(image: Image, preprocessing: Preprocessing) -> tuple[Tensor, float]:
    """Resize and normalise an RGB image (H, W, 3) uint8.

    Returns the input (3, h, w) float32 and the factor from original to input pixels.
    """
    factor = _factor(image, preprocessing)
    return normalised(unnormalised(image, preprocessing), preprocessing), factor


def unnormalised(image: Image, preprocessing: Preprocessing) -> Image:
    """The pixels (h, w, 3) uint8 that `normalised` takes, from an RGB image (H, W, 3) uint8.

    They have the network's scale, unless `normalised` resizes them (`preprocessing.resize`).
    """
    if preprocessing.resize == "float32":
        return image
    size = input_size(image, _factor(image, preprocessing))
    resized = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
    return resized.astype(np.uint8, copy=False)


def normalised(pixels: Image, preprocessing: Preprocessing) -> Tensor:
    """The network's input (3, h, w) float32 from the pixels that `unnormalised` returns.

    The pixels may be mirrored.
    """
    if preprocessing.channels == "bgr":
        pixels = pixels[..., ::-1]
    mean = np.asarray(preprocessing.mean, np.float32)
    std = np.asarray(preprocessing.std, np.float32)
    values = (pixels.astype(np.float32) / preprocessing.divisor - mean) / std
    if preprocessing.resize == "float32":
        values = _resized_exactly(values, _factor(pixels, preprocessing))
    return torch.from_numpy(values).permute(2, 0, 1)


def _factor(image: Image, preprocessing: Preprocessing) -> float:
    """The factor from the pixels of an image (H, W, 3) to those of the network's input."""
    height, width = image.shape[:2]
    return image_scale(height, width, preprocessing)


def input_size(image: NDArray[Any], factor: float) -> tuple[int, int]:
    """Width and height of the network's input, in whole pixels."""
    height, width = image.shape[:2]
    return max(1, round(width * factor)), max(1, round(height * factor))


def _resized_exactly(values: NDArray[np.float32], factor: float) -> NDArray[np.float32]:
    """Values (h, w, 3) resized by exactly `factor`: pixel x of the result is at x / factor.

    If only the size were given, OpenCV would compute other factors from the rounded sides.
    """
    values = np.ascontiguousarray(values)
    if round(min(values.shape[:2]) * factor) < 1:  # OpenCV does not create an empty image
        resized = cv2.resize(values, input_size(values, factor), interpolation=cv2.INTER_LINEAR)
    else:
        resized = cv2.resize(values, None, fx=factor, fy=factor, interpolation=cv2.INTER_LINEAR)
    return resized.astype(np.float32, copy=False)


def batch_images(images: Sequence[Tensor]) -> Tensor:
    """Stack inputs (3, h, w) of any sizes, padded with zeros right and below.

    Returns (N, 3, H, W), channels last in memory.
    """
    height = max((image.shape[1] for image in images), default=0)
    width = max((image.shape[2] for image in images), default=0)
    batch = torch.zeros((len(images), 3, height, width)).to(memory_format=torch.channels_last)
    for target, image in zip(batch, images, strict=True):
        target[:, : image.shape[1], : image.shape[2]] = image
    return batch


def batch_rois(boxes: Sequence[NDArray[np.float32]], factors: Sequence[float]) -> Tensor:
    """RoIs (R, 5) [image index, x1, y1, x2, y2] in input pixels, from boxes of each image."""
    parts = [
        np.concatenate([np.full((len(b), 1), index, np.float32), b * np.float32(factor)], axis=1)
        for index, (b, factor) in enumerate(zip(boxes, factors, strict=True))
    ]
    return torch.from_numpy(np.concatenate([np.zeros((0, 5), np.float32), *parts]))


def distinct_windows(rois: Tensor, stride: int) -> tuple[Tensor, Tensor]:
    """Remove RoIs that cover the same window of the feature map.

    RoI pooling rounds corners to cells, so RoIs with equal rounded corners have equal results.
    rois: (R, 5). stride: of the map. Returns the first RoI of each window in order, (D, 5), and
    the index of the window of each RoI, int64 (R,).
    """
    scaled = rois[:, 1:] * (1.0 / stride)
    cells = torch.floor(scaled + 0.5).where(scaled >= 0, torch.ceil(scaled - 0.5))
    keys = torch.cat([rois[:, :1], cells], dim=1).numpy()
    rows = np.ascontiguousarray(keys + 0.0).view(f"V{keys.itemsize * keys.shape[1]}")[:, 0]
    seen: dict[bytes, int] = {}
    windows = [seen.setdefault(row, len(seen)) for row in rows.tolist()]
    index = np.array(windows, np.int64)
    first = np.full(len(seen), -1)
    first[index[::-1]] = np.arange(len(rows))[::-1]  # the last write is the first RoI of each
    return rois[torch.from_numpy(first)], torch.from_numpy(index)


# Limit of the longer side at scales for which the model's own limit is too small, as in the paper.
MAX_SIZE = 2000


@dataclass(frozen=True)
class Reading:
    """One scale of the image, and the indices of the proposals that are pooled at it."""

    preprocessing: Preprocessing
    rows: NDArray[np.int64]


def readings(
    boxes: NDArray[np.float32],
    size: tuple[int, int],
    preprocessing: Preprocessing,
    settings: DetectSettings,
) -> Iterator[Reading]:
    """Yield the scales that have proposals.

    Without settings.scales, all proposals are pooled at the scale of `preprocessing`. Otherwise
    each is pooled at the scale at which its area is closest to settings.roi_side squared. The
    longer side is limited as in training, unless a scale exceeds that limit.
    boxes: (R, 4). size: height and width of the image.
    """
    if not settings.scales:
        yield Reading(preprocessing, np.arange(len(boxes)))
        return
    scaled = at_scales(preprocessing, settings)
    factors = np.array([image_scale(*size, at_scale) for at_scale in scaled])
    scaled_areas = areas(boxes)[:, None] * factors**2
    nearest = np.abs(scaled_areas - settings.roi_side**2).argmin(axis=1)
    for index, at_scale in enumerate(scaled):
        rows = np.flatnonzero(nearest == index)
        if len(rows):
            yield Reading(at_scale, rows)


def at_scales(preprocessing: Preprocessing, settings: DetectSettings) -> list[Preprocessing]:
    """The preprocessing of each scale that detection reads: see `readings`."""
    if not settings.scales:
        return [preprocessing]
    largest, longest = max(settings.scales), preprocessing.max_size
    if largest > longest:
        longest = max(MAX_SIZE, largest)
    return [replace(preprocessing, scale=s, max_size=longest) for s in settings.scales]
