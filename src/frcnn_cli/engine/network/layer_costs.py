"""What each layer of a network costs: its output, parameters and multiply-adds.

    costs = layer_costs(model.architecture)
    costs.multiply_adds(rois=2000)  # of one image and so many RoIs

Only shapes are computed: no weights are needed, and next to no time or memory.
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
from frcnn_cli.engine.settings import Architecture

Once = Literal["image", "RoI"]


@dataclass(frozen=True)
class LayerCost:
    """One layer, on one image or one RoI.

    name: as in the model's state, `features.conv1_1`. kind: its class, `Conv2d`.
    output: shape without the batch, (C, H, W) or (C,). parameters: numbers that it holds;
    frozen where training leaves them alone. multiply_adds: of convolutions and fully connected
    layers, biases not counted; 0 for others. per: what they are for, one image or one RoI.
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
    """All layers in the order in which they run. input: height and width of the image."""

    input: tuple[int, int]
    layers: tuple[LayerCost, ...]

    @property
    def parameters(self) -> int:
        return sum(layer.parameters for layer in self.layers)

    @property
    def frozen_parameters(self) -> int:
        return sum(layer.parameters for layer in self.layers if layer.frozen)

    def multiply_adds(self, rois: int) -> int:
        """Of one image with so many RoIs."""
        times = {"image": 1, "RoI": rois}
        return sum(layer.multiply_adds * times[layer.per] for layer in self.layers)


def layer_costs(
    architecture: Architecture, image_size: tuple[int, int] | None = None
) -> NetworkCost:
    """Costs of a network's layers for an image of `image_size` (height, width) in input pixels.

    Without a size: the largest wide image, scale x max_size. Layers are the modules without
    parts; those that hold no numbers and keep the shape (ReLU, dropout) are left out.
    """
    size = image_size or (architecture.preprocessing.scale, architecture.preprocessing.max_size)
    layers: list[LayerCost] = []
    with torch.device("meta"), torch.no_grad():
        model = FastRCNN(architecture).eval()
        with _recording(model, "image", layers):
            feature_map = model.features(torch.empty(1, 3, *size))
        pooled = model.pool(feature_map, torch.empty(1, 5))
        layers.append(LayerCost("roi_pool", "RoIPool", tuple(pooled.shape[1:]), 0, False, 0, "RoI"))
        with _recording(model, "RoI", layers):
            model.head(pooled)
    return NetworkCost(size, tuple(layers))


@contextmanager
def _recording(model: nn.Module, per: Once, layers: list[LayerCost]) -> Iterator[None]:
    """Within it, every layer of `model` that runs is added to `layers`."""

    def record(name: str, layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        holds = list(layer.parameters())
        # What a layer is, however it is computed.
        kind = "Conv2d" if isinstance(layer, nn.Conv2d) else type(layer).__name__
        keeps_shape = inputs[0].shape == output.shape
        if holds or not keeps_shape or isinstance(layer, nn.LocalResponseNorm):
            layers.append(
                LayerCost(
                    name,
                    kind,
                    tuple(output.shape[1:]),
                    sum(each.numel() for each in holds),
                    bool(holds) and not any(each.requires_grad for each in holds),
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
    """Every number of the output is a sum of so many products."""
    if isinstance(layer, nn.Conv2d):
        return output.numel() * layer.in_channels // layer.groups * math.prod(layer.kernel_size)
    if isinstance(layer, nn.Linear):
        return output.numel() * layer.in_features
    return 0
