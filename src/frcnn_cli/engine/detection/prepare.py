"""Prepare a model for detection: in the given precision, with faster layers."""

from __future__ import annotations

import copy
from contextlib import suppress

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.settings import Precision


def prepare_model(model: FastRCNN, precision: Precision = "float32") -> FastRCNN:
    """A copy of `model` for detection only; the model itself is not changed.

    Weights that are the same in both are shared; the others are in memory twice while both
    models exist. precision: bfloat16 applies to the convolutions, RoI pooling, fc6 and fc7; the
    sibling layers, later steps and the weights of normalisation layers stay float32.
    """
    dtype: torch.dtype = getattr(torch, precision)
    siblings: list[nn.Module] = [layer for head in model.heads for layer in (head.score, head.box)]
    siblings += [] if model.weak is None else model.weak.modules()
    copied: dict[int, object] = {id(buffer): buffer for buffer in model.buffers()}
    for layer in model.modules():
        changes = layer not in siblings and not isinstance(layer, nn.LayerNorm)
        for parameter in layer.parameters(recurse=False):
            values = parameter.detach().to(dtype if changes else parameter.dtype)
            copied[id(parameter)] = nn.Parameter(values, requires_grad=False)
    prepared = copy.deepcopy(model, copied).eval()
    prepared.dtype = dtype
    _replace(prepared)
    return prepared


def _replace(module: nn.Module) -> None:
    """Replace each layer by its faster version, if it has one (the siblings are too small)."""
    for name, layer in module.named_children():
        if name in ("score", "box", "weak"):
            continue
        if can_pack(layer):
            assert isinstance(layer, nn.Linear)
            # Packing is an internal operator of torch: where it is not supported, keep the layer.
            with suppress(RuntimeError):
                setattr(module, name, PackedLinear(layer))
        elif can_transform(layer):
            assert isinstance(layer, nn.Conv2d)
            setattr(module, name, WinogradConv(layer))
        elif can_halve(layer):
            assert isinstance(layer, nn.MaxPool2d)
            setattr(module, name, HalvingPool(layer))
        else:
            _replace(layer)


# With fewer channels, the transform, whose cost depends only on the size of the maps, costs more
# time than it saves.
_FEWEST_INPUTS, _FEWEST_OUTPUTS = 64, 128
# The number of RoIs that weights are packed for; other numbers use the same packing.
_PACKED_FOR = 128


class PackedLinear(nn.Module):
    """A fully connected layer with its weights in oneDNN's own layout.

    The weights (411 MB in VGG16's fc6) are rearranged once, not for every block of RoIs.
    float32 or bfloat16, (R, inputs) -> (R, outputs).
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
    """A 3 x 3 convolution by Winograd's transform F(6 x 6, 3 x 3) in NNPACK.

    It computes 6 x 6 outputs with 64 instead of 324 multiplications per channel, in float32, with
    a relative error of about 1e-5 (Lavin and Gray, 2016). (1, C, H, W) -> (1, outputs, H, W),
    contiguous.
    """

    def __init__(self, layer: nn.Conv2d) -> None:
        super().__init__()
        self.weight = layer.weight.detach().contiguous()
        self.bias = None if layer.bias is None else layer.bias.detach()

    def forward(self, x: Tensor) -> Tensor:
        return torch._nnpack_spatial_convolution(x, self.weight, self.bias, [1, 1])


class HalvingPool(nn.Module):
    """2 x 2 max pooling with stride 2, by the maximum of pairs of rows, then pairs of columns.

    This is faster than torch's own operator by 3x on contiguous maps (channels first), as
    WinogradConv returns them. Other maps use torch's operator.
    """

    def __init__(self, layer: nn.MaxPool2d) -> None:
        super().__init__()
        self.ceil = layer.ceil_mode

    def forward(self, x: Tensor) -> Tensor:
        if not x.is_contiguous():
            return F.max_pool2d(x, 2, 2, ceil_mode=self.ceil)
        return _halve(_halve(x, 2, self.ceil), 3, self.ceil)


def _halve(x: Tensor, dimension: int, ceil: bool) -> Tensor:
    """The maximum of each pair along a dimension; with `ceil`, also a last one without a pair."""
    pairs = x.shape[dimension] // 2
    even, odd = (x.movedim(dimension, 0)[start::2].movedim(0, dimension) for start in (0, 1))
    if x.shape[dimension] % 2 == 0:
        return torch.maximum(even, odd)
    if not ceil:
        return torch.maximum(even.narrow(dimension, 0, pairs), odd)
    halved = even.clone()
    larger = halved.narrow(dimension, 0, pairs)
    torch.maximum(larger, odd, out=larger)
    return halved


def can_halve(layer: nn.Module) -> bool:
    """Whether HalvingPool can replace this layer."""
    return (
        isinstance(layer, nn.MaxPool2d)
        and layer.kernel_size in (2, (2, 2))
        and layer.stride in (2, (2, 2))
        and layer.padding in (0, (0, 0))
        and layer.dilation in (1, (1, 1))
        and not layer.return_indices
    )


def can_pack(layer: nn.Module) -> bool:
    """Whether PackedLinear can replace this layer on this machine.

    oneDNN packs bfloat16 only on processors with instructions for it.
    """
    return (
        isinstance(layer, nn.Linear)
        and layer.weight.device.type == "cpu"
        and layer.weight.dtype in (torch.float32, torch.bfloat16)
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
        and hasattr(torch.ops.mkldnn, "_reorder_linear_weight")
        and (layer.weight.dtype == torch.float32 or torch.ops.mkldnn._is_mkldnn_bf16_supported())
    )


def can_transform(layer: nn.Module) -> bool:
    """Whether WinogradConv can replace this layer and is faster."""
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
