"""From pixels and boxes of the original image to the network's input, and batches of both."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from frcnn_cli.engine.settings import Preprocessing
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
