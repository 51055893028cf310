"""Write .caffemodel files byte by byte, with the field numbers of caffe.proto."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, Sequence[NDArray[np.floating]]]
# The convolutions of CaffeNet: outputs, inputs per group, kernel side.
CAFFENET = {
    "conv1": (96, 3, 11),
    "conv2": (256, 48, 5),
    "conv3": (384, 256, 3),
    "conv4": (384, 192, 3),
    "conv5": (256, 192, 3),
}
POOLED = 256 * 6 * 6


def varint(number: int) -> bytes:
    number &= (1 << 64) - 1
    encoded = bytearray()
    while number >= 0x80:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*encoded, number])


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def chunk(field: int, content: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(content)) + content


def new_blob(array: NDArray[np.floating], shape: Sequence[int] | None = None) -> bytes:
    """A BlobProto with a shape, as written by Caffe since 2015; doubles for a float64 array."""
    shape = array.shape if shape is None else shape
    field, kind = (8, "<f8") if array.dtype == np.float64 else (5, "<f4")
    return chunk(7, chunk(1, b"".join(map(varint, shape)))) + chunk(
        field, array.astype(kind).tobytes()
    )


def old_blob(array: NDArray[np.floating]) -> bytes:
    """A BlobProto with four dimensions (num, channels, height, width) and a diff."""
    sizes = (1,) * (4 - array.ndim) + array.shape
    head = b"".join(number(field, size) for field, size in enumerate(sizes, 1))
    values = array.astype("<f4").tobytes()
    return head + chunk(5, values) + chunk(6, values)


def new_layer(name: str, *blobs: bytes) -> bytes:
    """A LayerParameter: name, type, bottom, blobs, phase."""
    content = chunk(1, name.encode()) + chunk(2, b"Any") + chunk(3, b"below")
    return chunk(100, content + b"".join(chunk(7, blob) for blob in blobs) + number(10, 1))


def old_layer(name: str, *blobs: bytes) -> bytes:
    """A V1LayerParameter: bottom, name, type, blobs, and learning rates."""
    content = chunk(2, b"below") + chunk(4, name.encode()) + number(5, 4)
    content += b"".join(chunk(6, blob) for blob in blobs)
    return chunk(2, content + varint(7 << 3 | 5) + struct.pack("<f", 1.0))


def new_file(arrays: Arrays) -> bytes:
    layers = [new_layer(name, *map(new_blob, blobs)) for name, blobs in arrays.items()]
    return chunk(1, b"net") + chunk(3, b"data") + number(4, 1) + b"".join(layers)


def old_file(arrays: Arrays) -> bytes:
    layers = [old_layer(name, *map(old_blob, blobs)) for name, blobs in arrays.items()]
    return chunk(1, b"net") + b"".join(layers)


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def caffenet_arrays(seed: int = 0) -> dict[str, list[NDArray[np.float32]]]:
    """CaffeNet's convolutions, scaled so that activations neither vanish nor explode."""
    return {
        name: layer(seed + index, (outputs, inputs, side, side))
        for index, (name, (outputs, inputs, side)) in enumerate(CAFFENET.items())
    }


def layer(
    seed: int, shape: Sequence[int], bias: bool = True, gain: float = 1.0
) -> list[NDArray[np.float32]]:
    """Random weights of the given shape, and biases."""
    draw = np.random.default_rng(seed)
    scale = gain * (2 / np.prod(shape[1:])) ** 0.5
    weight = draw.normal(0, scale, shape).astype(np.float32)
    return [weight, draw.normal(0, 0.1, shape[0]).astype(np.float32)][: 1 + bias]


def detector_arrays(classes: int = 2) -> dict[str, list[NDArray[np.float32]]]:
    """A Fast R-CNN on CaffeNet with 8 and 6 hidden outputs, with Caffe's layer names."""
    return {
        "data": [],
        **caffenet_arrays(),
        "fc6": layer(10, (8, POOLED)),
        "fc7": layer(11, (6, 8)),
        "cls_score": layer(12, (classes + 1, 6), gain=0.01),
        "bbox_pred": layer(13, (4 * (classes + 1), 6), gain=0.001),
    }
