"""Weight gradient of a 5 x 5 depthwise convolution on the CPU, in vector code.

oneDNN has no vector code for this kernel size and takes two to four times as long.
"""

from __future__ import annotations

import torch
from torch import Tensor


def depthwise_weight_gradient(gradient: Tensor, x: Tensor, stride: int) -> Tensor:
    """Gradient of the weight of F.conv2d(x, weight, stride=stride, padding=2, groups=C).

    gradient: (N, C, H', W') and x: (N, C, H, W), float32, on the CPU. Channels-last tensors are
        used without a copy.

    Returns (C, 1, 5, 5), bit-identical for any number of threads and every instruction set. Raises
    ValueError for invalid arguments.
    """
    if gradient.ndim != 4 or x.ndim != 4 or min(x.shape) < 1:
        raise ValueError(f"x must be (N, C, H, W) and not empty, but it is {tuple(x.shape)}")
    for name, tensor in (("gradient", gradient), ("x", x)):
        if tensor.dtype != torch.float32 or tensor.device.type not in ("cpu", "meta"):
            raise ValueError(
                f"{name} must be float32 on the CPU, not {tensor.dtype} on {tensor.device}"
            )
    if stride < 1:
        raise ValueError(f"stride must be at least 1, not {stride}")
    height, width = ((extent - 1) // stride + 1 for extent in x.shape[2:])
    expected = (x.shape[0], x.shape[1], height, width)
    if tuple(gradient.shape) != expected:
        raise ValueError(f"gradient must be {expected}, not {tuple(gradient.shape)}")
    channels_last = [tensor.permute(0, 2, 3, 1).contiguous() for tensor in (gradient, x)]
    result: Tensor = torch.ops.frcnn.depthwise_weight_gradient(*channels_last, stride)
    return result


@torch.library.register_fake("frcnn::depthwise_weight_gradient")
def _fake(gradient: Tensor, x: Tensor, stride: int) -> Tensor:
    return x.new_empty((x.shape[3], 1, 5, 5))
