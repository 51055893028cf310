"""A model made ready for detection: in the precision that is asked for, its layers the fastest."""

from __future__ import annotations

import copy
from contextlib import suppress

import torch
from torch import nn

from frcnn_cli.engine.detection.fast_layers import (
    HalvingPool,
    PackedLinear,
    WinogradConv,
    can_halve,
    can_pack,
    can_transform,
)
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.settings import Precision

_TYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def prepare_model(model: FastRCNN, precision: Precision = "float32") -> FastRCNN:
    """A copy of `model` for detection alone; the model itself stays as it is.

    Weights that need not change are shared, the others lie in memory twice while both are
    kept. precision: bfloat16 runs the convolutions, RoI pooling, fc6 and fc7 in it; the
    sibling layers and what follows them stay float32, and so do the weights of norms.
    """
    prepared = _copy(model, _TYPES[precision]).eval()
    _replace(prepared)
    return prepared


def _copy(model: FastRCNN, dtype: torch.dtype) -> FastRCNN:
    """The same modules; weights are shared where they need not change."""
    siblings = (model.score, model.box)
    kept: dict[int, object] = {id(buffer): buffer for buffer in model.buffers()}
    for layer in model.modules():
        changes = layer not in siblings and not isinstance(layer, nn.LayerNorm)
        for parameter in layer.parameters(recurse=False):
            values = parameter.detach().to(dtype if changes else parameter.dtype)
            kept[id(parameter)] = nn.Parameter(values, requires_grad=False)
    prepared = copy.deepcopy(model, kept)
    prepared.dtype = dtype
    return prepared


def _replace(module: nn.Module) -> None:
    """Put a faster layer in the place of each that has one (the siblings are small)."""
    for name, layer in module.named_children():
        if name in ("score", "box"):
            continue
        if can_pack(layer):
            assert isinstance(layer, nn.Linear)
            # Packing is an internal operator: a machine that it does not know keeps the layer.
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
