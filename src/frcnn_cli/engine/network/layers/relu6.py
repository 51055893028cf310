"""In-place ReLU6 whose gradient is computed from its output."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class InPlaceReLU6(nn.ReLU6):
    """min(max(x, 0), 6) in place, for x of any shape; values and gradients equal nn.ReLU6's.

    torch's in-place layer copies its input for the backward pass. The output is sufficient: it is
    strictly between 0 and 6 exactly where the input is, and the next layer stores it anyway. This
    saves writing and reading one map per activation in a training step.
    """

    def __init__(self) -> None:
        super().__init__(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        if torch.is_grad_enabled() and x.requires_grad and not torch.compiler.is_compiling():
            result: Tensor = _ReLU6.apply(x)
            return result
        return super().forward(x)


class _ReLU6(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        x.clamp_(0, 6)
        ctx.mark_dirty(x)
        ctx.save_for_backward(x)
        return x

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        (y,) = ctx.saved_tensors
        of_input: Tensor = torch.ops.aten.hardtanh_backward(gradient, y, 0.0, 6.0)
        return of_input
