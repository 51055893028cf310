"""Convolutions a channel whose weight gradient is quick on a CPU for kernels of 5 x 5, too.

oneDNN computes the weight gradient of a 3 x 3 depthwise convolution with vector code, that of
larger kernels without: 20 to 50 times slower, a quarter of an EfficientNet-Lite's training step.
The gradient of a 5 x 5 kernel is here put together from those of four 3 x 3 kernels, each over
its own window of the padded input; where they overlap they agree.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_PART = 3


class DepthwiseConv2d(nn.Conv2d):
    """nn.Conv2d of as many groups as channels: (N, C, H, W) -> (N, C, H', W'), padded by half
    the kernel; the same parameters, the same values and gradients to rounding."""

    def __init__(self, channels: int, kernel: int, stride: int) -> None:
        super().__init__(channels, channels, kernel, stride, kernel // 2, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        if self.kernel_size == (5, 5) and x.device.type == "cpu" and torch.is_grad_enabled():
            assert self.bias is not None
            tensors = [x, self.weight, self.bias]
            if torch.is_autocast_enabled("cpu"):  # which does not look inside
                tensors = [each.to(torch.get_autocast_dtype("cpu")) for each in tensors]
            result: Tensor = _Depthwise5.apply(*tensors, self.stride[0])
            return result
        return super().forward(x)


class _Depthwise5(torch.autograd.Function):
    """A depthwise convolution of 5 x 5, padded by 2."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, stride: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride = stride
        return F.conv2d(x, weight, bias, stride, padding=2, groups=len(weight))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, Tensor, None]:
        x, weight = ctx.saved_tensors
        of_input = None
        if ctx.needs_input_grad[0]:
            of_input = _input_gradient(gradient, x, weight, ctx.stride)
        of_weight = _weight_gradient(gradient, x, ctx.stride)
        return of_input, of_weight, gradient.sum((0, 2, 3)), None


def _input_gradient(gradient: Tensor, x: Tensor, weight: Tensor, stride: int) -> Tensor:
    if stride > 1 and x.dtype == torch.bfloat16:  # without vector code, too
        exact = _input_gradient(gradient.float(), x.float(), weight.float(), stride)
        return exact.to(torch.bfloat16)
    return _gradients(gradient, x, weight, stride, 2, (True, False))[0]


def _weight_gradient(gradient: Tensor, x: Tensor, stride: int) -> Tensor:
    """(C, 1, 5, 5) from the gradients (C, 1, 3, 3) of its corners."""
    padded = F.pad(x, (2, 2, 2, 2)).contiguous(memory_format=torch.channels_last)
    height, width = ((size - 1) * stride + _PART for size in gradient.shape[2:])
    whole = x.new_empty((x.shape[1], 1, 5, 5))
    part = x.new_empty((x.shape[1], 1, _PART, _PART))
    for top, left in product((0, 2), (0, 2)):
        window = padded[:, :, top : top + height, left : left + width]
        corner = _gradients(gradient, window, part, stride, 0, (False, True))[1]
        whole[:, :, top : top + _PART, left : left + _PART] = corner
    return whole


def _gradients(
    gradient: Tensor,
    x: Tensor,
    weight: Tensor,
    stride: int,
    padding: int,
    wanted: tuple[bool, bool],
) -> tuple[Tensor, Tensor]:
    """Of the input and of the weight of a depthwise convolution; None where not wanted."""
    of_input, of_weight, _ = torch.ops.aten.convolution_backward(
        gradient, x, weight, None, [stride] * 2, [padding] * 2, [1, 1], False, [0, 0],
        len(weight), [*wanted, False],
    )  # fmt: skip
    return of_input, of_weight
