"""onnxruntime's MaxRoiPool as a third contestant, where onnxruntime is installed.

A model of one node is all it needs; it is written here in the bytes of the ONNX format, which
spares the `onnx` package.
"""

from __future__ import annotations

import struct
from collections.abc import Callable

import torch
from torch import Tensor

FLOAT = 1  # TensorProto.DataType, and AttributeProto.AttributeType
INTS = 7
OPSET = 11  # from 22 on the rounding of RoIs differs from the paper's code
IR_VERSION = 6


def onnx_roi_pool(
    features: Tensor, rois: Tensor, bins: int, spatial_scale: float
) -> dict[str, Callable[[], Tensor]]:
    """{"onnxruntime": a call that pools} where it is installed, else nothing."""
    try:
        import onnxruntime
    except ImportError:
        return {}
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(
        max_roi_pool_model(bins, spatial_scale), options, providers=["CPUExecutionProvider"]
    )
    inputs = {"features": features.numpy(), "rois": rois.numpy()}
    return {"onnxruntime": lambda: torch.from_numpy(session.run(None, inputs)[0])}


def max_roi_pool_model(bins: int, spatial_scale: float) -> bytes:
    """An ONNX ModelProto with one MaxRoiPool node: features, rois -> pooled."""
    shape = _text(1, "pooled_shape") + _number(8, bins) * 2 + _number(20, INTS)
    scale = _text(1, "spatial_scale") + b"\x15" + struct.pack("<f", spatial_scale)
    scale += _number(20, FLOAT)
    node = _text(1, "features") + _text(1, "rois") + _text(2, "pooled") + _text(4, "MaxRoiPool")
    node += _message(5, shape) + _message(5, scale)
    graph = _message(1, node) + _text(2, "pooling")
    for name, rank in (("features", 4), ("rois", 2)):
        graph += _message(11, _value(name, rank))
    graph += _message(12, _value("pooled", 4))
    opset = _text(1, "") + _number(2, OPSET)
    return _number(1, IR_VERSION) + _message(7, graph) + _message(8, opset)


def _value(name: str, rank: int) -> bytes:
    """A ValueInfoProto: float, with every dimension left open."""
    dimensions = b"".join(_message(1, _text(2, f"{name}{axis}")) for axis in range(rank))
    tensor = _number(1, FLOAT) + _message(2, dimensions)
    return _text(1, name) + _message(2, _message(1, tensor))


def _varint(number: int) -> bytes:
    encoded = bytearray()
    while number >= 0x80:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _message(field: int, content: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(content)) + content


def _text(field: int, text: str) -> bytes:
    return _message(field, text.encode())
