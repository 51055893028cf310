"""Batch norm by the statistics, gains and shifts that it came with, in training too."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_NAMES = ("weight", "bias", "running_mean", "running_var")


class FrozenBatchNorm2d(nn.Module):
    """(x - running_mean) / sqrt(running_var + eps) * weight + bias, each (C,); x: (N, C, H, W).

    All four are buffers, which no optimizer changes. They are named as in nn.BatchNorm2d and
    stay float32 for x in bfloat16, which torchvision's FrozenBatchNorm2d would make float32.
    """

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        for name, value in zip(_NAMES, (1.0, 0.0, 0.0, 1.0), strict=True):
            self.register_buffer(name, torch.full((channels,), value))

    def forward(self, x: Tensor) -> Tensor:
        return F.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps
        )


def freeze_batch_norms(network: nn.Module) -> None:
    """Put a FrozenBatchNorm2d, with statistics 0 and 1, in the place of every nn.BatchNorm2d."""
    for path, layer in list(network.named_modules()):
        if isinstance(layer, nn.BatchNorm2d):
            network.set_submodule(path, FrozenBatchNorm2d(layer.num_features, layer.eps))
