"""Cost of each layer of a network: output shape, parameters and multiply-adds.

    costs = layer_costs(model.architecture)
    costs.multiply_adds(rois=2000)  # for one image with 2,000 RoIs

Only shapes are computed, which needs no weights and almost no time or memory.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn

from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.settings import Architecture, DetectSettings
from frcnn_cli.engine.settings.network import SECOND

Once = Literal["image", "RoI", "best RoI"]


@dataclass(frozen=True)
class LayerCost:
    """Cost of one layer, per image, per RoI, or per RoI that a ranker or the first head selects.

    name: as in the model's state, such as `features.conv1_1`. kind: its class, such as `Conv2d`.
    output: shape without the batch dimension, (C, H, W) or (C,). frozen: whether training leaves
    its parameters unchanged. multiply_adds: of convolutions and fully connected layers, without
    biases; 0 for other layers. per: what the cost is for.
    """

    name: str
    kind: str
    output: tuple[int, ...]
    parameters: int
    frozen: bool
    multiply_adds: int
    per: Once


@dataclass(frozen=True)
class NetworkCost:
    """All layers in execution order. input: height and width of the image."""

    input: tuple[int, int]
    layers: tuple[LayerCost, ...]

    @property
    def parameters(self) -> int:
        return sum(layer.parameters for layer in self.layers)

    @property
    def frozen_parameters(self) -> int:
        return sum(layer.parameters for layer in self.layers if layer.frozen)

    def multiply_adds(self, rois: int, best: int = DetectSettings().max_proposals) -> int:
        """Multiply-adds for one image with `rois` RoIs, of which `best` at most are selected."""
        times = {"image": 1, "RoI": rois, "best RoI": min(rois, best)}
        return sum(layer.multiply_adds * times[layer.per] for layer in self.layers)


def layer_costs(
    architecture: Architecture, image_size: tuple[int, int] | None = None
) -> NetworkCost:
    """Costs of a network's layers for an image of `image_size` (height, width) in input pixels.

    The default size is the largest wide image, scale x max_size. Layers are modules without
    submodules; layers without parameters that keep the shape (ReLU, dropout) are omitted.
    """
    size = image_size or (architecture.preprocessing.scale, architecture.preprocessing.max_size)
    layers: list[LayerCost] = []
    with torch.device("meta"), torch.no_grad():
        model = FastRCNN(architecture).eval()
        with _recording(model, "image", layers):
            feature_map = model.features(torch.empty(1, 3, *size))
        roi = torch.empty(1, 5)
        if model.ranker is not None:
            with _recording(model, "RoI", layers):
                model.objectness(feature_map, roi)
        pooled = model.pool(feature_map, roi)
        for prefix, head in zip(("", SECOND), model.heads, strict=False):
            per: Once = "best RoI" if prefix or model.ranker is not None else "RoI"
            shape = tuple(pooled.shape[1:])
            layers.append(LayerCost(f"{prefix}roi_pool", "RoIPool", shape, 0, False, 0, per))
            with _recording(model, per, layers):
                head.head(pooled)
    return NetworkCost(size, tuple(layers))


@contextmanager
def _recording(model: nn.Module, per: Once, layers: list[LayerCost]) -> Iterator[None]:
    """Append every layer of `model` that runs within the block to `layers`."""

    def record(name: str, layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        parameters = list(layer.parameters())
        # Our subclasses of Conv2d differ only in how they compute.
        kind = "Conv2d" if isinstance(layer, nn.Conv2d) else type(layer).__name__
        keeps_shape = inputs[0].shape == output.shape
        if parameters or not keeps_shape or isinstance(layer, nn.LocalResponseNorm):
            layers.append(
                LayerCost(
                    name,
                    kind,
                    tuple(output.shape[1:]),
                    sum(parameter.numel() for parameter in parameters),
                    bool(parameters) and not any(p.requires_grad for p in parameters),
                    _multiply_adds(layer, output),
                    per,
                )
            )

    handles = [
        layer.register_forward_hook(partial(record, name))
        for name, layer in model.named_modules()
        if not list(layer.children())
    ]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _multiply_adds(layer: nn.Module, output: Tensor) -> int:
    """Number of products summed for the whole output."""
    if isinstance(layer, nn.Conv2d):
        return output.numel() * layer.in_channels // layer.groups * math.prod(layer.kernel_size)
    if isinstance(layer, nn.Linear):
        return output.numel() * layer.in_features
    return 0
