"""Caffe's layers in NumPy and SciPy, written directly from their formulas, as a reference."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray
from scipy.signal import correlate

Map = NDArray[np.float64]


def convolution(
    x: Map, weight: Map, bias: Map, stride: int = 1, padding: int = 0, groups: int = 1
) -> Map:
    """x: (C, H, W). weight: (outputs, C / groups, k, k). Sizes are rounded down."""
    x = np.pad(x, ((0, 0), (padding, padding), (padding, padding)))
    inputs, outputs = weight.shape[1], len(weight) // groups
    planes = []
    for index in range(len(weight)):
        start = index // outputs * inputs
        plane = correlate(x[start : start + inputs], weight[index], mode="valid")[0]
        planes.append(plane[::stride, ::stride] + bias[index])
    return np.stack(planes)


def max_pool(x: Map, kernel: int, stride: int = 2, padding: int = 0) -> Map:
    """Sizes are rounded up; windows that start outside the image and its padding are skipped."""

    def size(length: int) -> int:
        count = math.ceil((length + 2 * padding - kernel) / stride) + 1
        if padding and (count - 1) * stride >= length + padding:
            count -= 1
        return count

    _, height, width = x.shape
    result = np.zeros((len(x), size(height), size(width)))
    for i in range(result.shape[1]):
        for j in range(result.shape[2]):
            top, left = i * stride - padding, j * stride - padding
            window = x[:, max(0, top) : top + kernel, max(0, left) : left + kernel]
            result[:, i, j] = window.max(axis=(1, 2))
    return result


def normalise_across_channels(x: Map, size: int, alpha: float, beta: float, k: float) -> Map:
    """x_c / (k + alpha / size * sum of x^2 over the `size` channels around c)^beta."""
    result = np.zeros_like(x)
    for c in range(len(x)):
        around = x[max(0, c - size // 2) : c + size // 2 + 1]
        result[c] = x[c] / (k + alpha / size * (around**2).sum(axis=0)) ** beta
    return result


def relu(x: Map) -> Map:
    return np.maximum(x, 0)
