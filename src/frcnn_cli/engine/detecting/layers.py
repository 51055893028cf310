"""Layers that compute what torch's own do, faster, for detection on a CPU.

Both rest on operators that torch keeps for its compiler and its mobile builds;
`can_pack` and `can_transform` say whether this torch has them.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

# A convolution of fewer channels gains less from fewer multiplications than it loses to the
# transform, whose cost grows with the size of the maps alone.
_FEWEST_INPUTS, _FEWEST_OUTPUTS = 64, 128
# The block that weights are packed for; others run on the same packing.
_PACKED_FOR = 128


class PackedLinear(nn.Module):
    """A fully connected layer whose weights lie as oneDNN reads them.

    Packing once spares every block of RoIs the rearrangement of the weights, which are 411 MB
    in VGG16's fc6. float32 or bfloat16, (R, inputs) -> (R, outputs).
    """

    def __init__(self, layer: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = layer.in_features, layer.out_features
        weight = layer.weight.detach()
        self.weight = torch.ops.mkldnn._reorder_linear_weight(weight, _PACKED_FOR)
        self.bias = None if layer.bias is None else layer.bias.detach()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = torch.ops.mkldnn._linear_pointwise(x, self.weight, self.bias, "none", [], "")
        return y


class WinogradConv(nn.Module):
    """A 3 x 3 convolution by Winograd's transform F(6 x 6, 3 x 3), as NNPACK has it.

    It makes 6 x 6 outputs with 64 multiplications a channel in place of 324, in float32, at a
    relative error of about 1e-5 (Lavin and Gray, 2016). (1, C, H, W) -> (1, outputs, H, W),
    contiguous.
    """

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__()
        self.weight = layer.weight.detach().contiguous()
        self.bias = None if layer.bias is None else layer.bias.detach()

    def forward(self, x: Tensor) -> Tensor:
        return torch._nnpack_spatial_convolution(x, self.weight, self.bias, [1, 1])


def can_pack(layer: nn.Module) -> bool:
    """Whether PackedLinear can take this layer's place."""
    return (
        isinstance(layer, nn.Linear)
        and layer.weight.device.type == "cpu"
        and layer.weight.dtype in (torch.float32, torch.bfloat16)
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
        and hasattr(torch.ops.mkldnn, "_reorder_linear_weight")
    )


def can_transform(layer: nn.Module) -> bool:
    """Whether WinogradConv can take this layer's place and is faster."""
    return (
        isinstance(layer, nn.Conv2d)
        and layer.weight.device.type == "cpu"
        and layer.weight.dtype == torch.float32
        and layer.kernel_size == (3, 3)
        and layer.stride == layer.dilation == layer.padding == (1, 1)
        and layer.padding_mode == "zeros"
        and layer.groups == 1
        and layer.in_channels >= _FEWEST_INPUTS
        and layer.out_channels >= _FEWEST_OUTPUTS
        and hasattr(torch, "_nnpack_spatial_convolution")
        and torch.backends.nnpack.is_available()  # type: ignore[no-untyped-call]
    )
