"""From pixels and boxes of the original image to the network's input, and batches of both."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from frcnn_cli.engine.boxes import areas
from frcnn_cli.engine.settings import DetectSettings, Preprocessing
from frcnn_proposals.base import Image


def image_scale(height: int, width: int, preprocessing: Preprocessing) -> float:
    """Factor that brings the shorter side to `scale`, the longer to at most `max_size`."""
    shorter, longer = min(height, width), max(height, width)
    return min(preprocessing.scale / shorter, preprocessing.max_size / longer)


def image_tensor(image: Image, preprocessing: Preprocessing) -> tuple[Tensor, float]:
    """Resize and normalise an RGB image (H, W, 3) uint8.

    Returns the input (3, h, w) float32 and the factor from original to input pixels.
    """
    resized, factor = resized_image(image, preprocessing)
    return normalised(resized, preprocessing), factor


def resized_image(image: Image, preprocessing: Preprocessing) -> tuple[Image, float]:
    """The image (h, w, 3) uint8 at the network's scale, and the factor to its pixels."""
    height, width = image.shape[:2]
    factor = image_scale(height, width, preprocessing)
    size = (max(1, round(width * factor)), max(1, round(height * factor)))
    resized = cv2.resize(image, size, interpolation=cv2.INTER_LINEAR)
    return resized.astype(np.uint8, copy=False), factor


def normalised(resized: Image, preprocessing: Preprocessing) -> Tensor:
    """Pixels (h, w, 3) uint8 as the network's input (3, h, w) float32."""
    if preprocessing.channels == "bgr":
        resized = resized[..., ::-1]
    mean = np.asarray(preprocessing.mean, np.float32)
    std = np.asarray(preprocessing.std, np.float32)
    pixels = (resized.astype(np.float32) / preprocessing.divisor - mean) / std
    return torch.from_numpy(pixels).permute(2, 0, 1)


def batch_images(images: Sequence[Tensor]) -> Tensor:
    """Stack inputs (3, h, w) of any sizes, padded with zeros on the right and below.

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
    """One RoI for each window of the feature map, and for each RoI its window's index.

    RoI pooling rounds corners to cells, so RoIs with the same rounded corners pool the same.
    rois: (R, 5). stride: of the map. Returns (D, 5), in the order of the first RoI of each,
    and int64 (R,).
    """
    scaled = rois[:, 1:] * (1.0 / stride)
    cells = torch.floor(scaled + 0.5).where(scaled >= 0, torch.ceil(scaled - 0.5))
    keys = torch.cat([rois[:, :1], cells], dim=1).numpy()
    rows = np.ascontiguousarray(keys + 0.0).view(f"V{keys.itemsize * keys.shape[1]}")[:, 0]
    seen: dict[bytes, int] = {}
    of_window = [seen.setdefault(row, len(seen)) for row in rows.tolist()]
    index = np.array(of_window, np.int64)
    first = np.full(len(seen), -1)
    first[index[::-1]] = np.arange(len(rows))[::-1]  # the last write is the first RoI of each
    return rois[torch.from_numpy(first)], torch.from_numpy(index)


# The longest side of an image at any of several scales, as in the paper.
MAX_SIZE = 2000


@dataclass(frozen=True)
class Reading:
    """One scale that the image is seen at, and the indices of the proposals read there."""

    preprocessing: Preprocessing
    rows: NDArray[np.int64]


def readings(
    boxes: NDArray[np.float32],
    size: tuple[int, int],
    preprocessing: Preprocessing,
    settings: DetectSettings,
) -> Iterator[Reading]:
    """The scales that have proposals: all of them at the preprocessing's own, or each at that
    of settings.scales at which its area comes nearest to settings.roi_side squared.

    boxes: (R, 4). size: height and width of the image.
    """
    if not settings.scales:
        yield Reading(preprocessing, np.arange(len(boxes)))
        return
    longest = max(preprocessing.max_size, MAX_SIZE, *settings.scales)
    shown = [replace(preprocessing, scale=s, max_size=longest) for s in settings.scales]
    factors = np.array([image_scale(*size, each) for each in shown])
    seen = areas(boxes)[:, None] * factors**2
    nearest = np.abs(seen - settings.roi_side**2).argmin(axis=1)
    for index, each in enumerate(shown):
        rows = np.flatnonzero(nearest == index)
        if len(rows):
            yield Reading(each, rows)
