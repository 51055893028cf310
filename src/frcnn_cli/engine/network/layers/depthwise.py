"""Depthwise convolutions whose weight gradient is fast on a CPU for 5 x 5 kernels too.

oneDNN has vector code for the weight gradient of 3 x 3 depthwise convolutions only. For larger
kernels, that gradient takes a quarter of a training step of EfficientNet-Lite. It is replaced here
by a custom operator.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from frcnn_kernels import depthwise_weight_gradient


class DepthwiseConv2d(nn.Conv2d):
    """nn.Conv2d with one group per channel, padded by half the kernel.

    (N, C, H, W) -> (N, C, H', W'). Parameters are those of nn.Conv2d; values and gradients are
    equal up to rounding.
    """

    def __init__(self, channels: int, kernel: int, stride: int) -> None:
        super().__init__(channels, channels, kernel, stride, kernel // 2, groups=channels)

    def forward(self, x: Tensor) -> Tensor:
        if self.kernel_size == (5, 5) and x.device.type == "cpu" and torch.is_grad_enabled():
            assert self.bias is not None
            tensors = [x, self.weight, self.bias]
            if torch.is_autocast_enabled("cpu"):  # autocast does not apply inside the function
                tensors = [t.to(torch.get_autocast_dtype("cpu")) for t in tensors]
            result: Tensor = _Depthwise5.apply(*tensors, self.stride[0])
            return result
        return super().forward(x)


class _Depthwise5(torch.autograd.Function):
    """A 5 x 5 depthwise convolution, padded by 2."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor, stride: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.stride = stride
        return F.conv2d(x, weight, bias, stride, padding=2, groups=len(weight))

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        x, weight = ctx.saved_tensors
        of_input = of_weight = of_bias = None
        if ctx.needs_input_grad[0]:
            of_input = _input_gradient(gradient, x, weight, ctx.stride)
        if ctx.needs_input_grad[1]:
            exact = depthwise_weight_gradient(gradient.float(), x.float(), ctx.stride)
            # DistributedDataParallel expects the strides of the weight.
            of_weight = torch.empty_like(weight).copy_(exact)
        if ctx.needs_input_grad[2]:
            of_bias = gradient.sum((0, 2, 3))
        return of_input, of_weight, of_bias, None


def _input_gradient(gradient: Tensor, x: Tensor, weight: Tensor, stride: int) -> Tensor:
    if stride > 1 and x.dtype == torch.bfloat16:  # oneDNN has no vector code for it either
        exact = _input_gradient(gradient.float(), x.float(), weight.float(), stride)
        return exact.to(torch.bfloat16)
    of_input: Tensor = torch.ops.aten.convolution_backward(
        gradient, x, weight, None, [stride] * 2, [2, 2], [1, 1], False, [0, 0],
        len(weight), [True, False, False],
    )[0]  # fmt: skip
    return of_input
