"""RoI pooling against torchvision's, and against onnxruntime's if that is installed.

Legend: N images, C channels, H x W cells of the map, R RoIs, 7 x 7 bins.

onnxruntime needs a model with one node, MaxRoiPool. The bytes of that model are written here, so
that the `onnx` package is not required.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
import torchvision
from torch import Tensor

from frcnn_cli.engine.benchmarks.operators import OperatorCase, compare, draw_rois, size_in_bytes
from frcnn_cli.engine.reporter import SILENT, Reporter
from frcnn_kernels import roi_pool

BINS = 7


@dataclass(frozen=True)
class PoolingCase:
    """A feature map and how it is pooled. kind: infer, train (with argmax) or backward.

    keeps_memory: write the output to the same memory every time, not to newly allocated memory.
    """

    name: str
    kind: str
    map_shape: tuple[int, int, int, int]
    rois: int
    image_size: tuple[int, int]  # width, height
    spatial_scale: float = 1 / 16
    keeps_memory: bool = False
    channels_last: bool = False
    dtype: torch.dtype = torch.float32


VGG16 = (1, 512, 38, 63)
VGG16_PAIR = (2, 512, 38, 63)
# The map of the preset lite: stride 8, of an image with a shorter side of 480, channels last.
LITE = (1, 128, 60, 80)
LITE_PAIR = (2, 128, 60, 80)
_FULL = (
    PoolingCase("infer-vgg16-out", "infer", VGG16, 2000, (1000, 600), keeps_memory=True),
    PoolingCase("train-vgg16", "train", VGG16_PAIR, 128, (1000, 600)),
    PoolingCase("backward-2000", "backward", VGG16, 2000, (1000, 600)),
    PoolingCase("backward-128", "backward", VGG16_PAIR, 128, (1000, 600)),
    PoolingCase("infer-lite-out", "infer", LITE, 2000, (640, 480), 1 / 8, True, True),
    PoolingCase("backward-lite", "backward", LITE_PAIR, 256, (640, 480), 1 / 8, False, True),
)
_SHORT = {"bf16": torch.bfloat16, "f16": torch.float16}
CASES = (
    *_FULL,
    PoolingCase("infer-vgg16", "infer", VGG16, 2000, (1000, 600)),
    PoolingCase("infer-lite", "infer", LITE, 2000, (640, 480), 1 / 8, False, True),
    *(
        replace(case, name=f"{case.name}-{short}", dtype=dtype)
        for case in _FULL
        for short, dtype in _SHORT.items()
    ),
)


def benchmark_roi_pool(
    rounds: int = 11,
    cases: tuple[PoolingCase, ...] = CASES,
    device: torch.device | None = None,
    reporter: Reporter = SILENT,
) -> list[OperatorCase]:
    """Check that the results of each case agree, then time all contestants interleaved."""
    device = device or torch.device("cpu")
    results = []
    for case in cases:
        reporter.detail(case.name)
        results.append(_measure(case, rounds, device))
    return results


def _measure(case: PoolingCase, rounds: int, device: torch.device) -> OperatorCase:
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(case.map_shape, generator=generator).to(device, case.dtype)
    if case.channels_last:
        features = features.contiguous(memory_format=torch.channels_last)
    width, height = case.image_size
    rois = draw_rois(case.rois, case.map_shape[0], width, height, generator).to(device)
    contest = {"infer": _infer, "train": _train, "backward": _backward}[case.kind]
    contestants, moved = contest(case, features, rois)
    return compare(case.name, contestants, rounds, moved, device)


Contest = tuple[dict[str, Callable[[], Tensor]], int]


def _torchvision(features: Tensor, rois: Tensor, bins: int, spatial_scale: float) -> Tensor:
    """torchvision's roi_pool of float32 features; it does not support bfloat16 on the CPU."""
    pooled: Tensor = torchvision.ops.roi_pool(features.float(), rois, bins, spatial_scale)
    return pooled.to(features.dtype)


def _infer(case: PoolingCase, features: Tensor, rois: Tensor) -> Contest:
    arguments = (features, rois, BINS, case.spatial_scale)
    pooled = roi_pool(*arguments)
    out = pooled if case.keeps_memory else None
    contestants = {
        "ours": lambda: roi_pool(*arguments, out=out),
        "torchvision": lambda: _torchvision(*arguments),
    }
    if features.device.type == "cpu" and case.dtype == torch.float32:
        contestants |= onnx_roi_pool(*arguments)
    return contestants, size_in_bytes(features, rois, pooled)


def _train(case: PoolingCase, features: Tensor, rois: Tensor) -> Contest:
    features.requires_grad_()
    arguments = (features, rois, BINS, case.spatial_scale)
    pooled, argmax = torch.ops.frcnn.roi_pool(features, rois, BINS, BINS, case.spatial_scale)
    contestants = {
        "ours": lambda: roi_pool(*arguments),
        "torchvision": lambda: _torchvision(*arguments),
    }
    return contestants, size_in_bytes(features, rois, pooled, argmax)


def _backward(case: PoolingCase, features: Tensor, rois: Tensor) -> Contest:
    features.requires_grad_()
    arguments = (features, rois, BINS, case.spatial_scale)
    ours, theirs = roi_pool(*arguments), _torchvision(*arguments)
    gradient = torch.randn_like(ours)

    def backward(pooled: Tensor) -> Tensor:
        return torch.autograd.grad(pooled, features, gradient, retain_graph=True)[0]

    contestants = {"ours": lambda: backward(ours), "torchvision": lambda: backward(theirs)}
    without_data = (features.to("meta"), rois.to("meta"), BINS, BINS, case.spatial_scale)
    _, argmax = torch.ops.frcnn.roi_pool(*without_data)
    return contestants, size_in_bytes(features, rois, gradient, argmax)


FLOAT = 1  # TensorProto.DataType, and AttributeProto.AttributeType
INTS = 7
OPSET = 11  # since opset 22, MaxRoiPool rounds RoIs differently from the paper's code
IR_VERSION = 6


def onnx_roi_pool(
    features: Tensor, rois: Tensor, bins: int, spatial_scale: float
) -> dict[str, Callable[[], Tensor]]:
    """{"onnxruntime": a function that pools} if onnxruntime is installed, else {}."""
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
    """A ValueInfoProto of type float with symbolic dimensions."""
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
