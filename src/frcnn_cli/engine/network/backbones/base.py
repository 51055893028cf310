"""The definition of a backbone: its feature layers and how to read its ImageNet weights."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from frcnn_cli.engine.network.backbones.defaults import BackboneDefaults
from frcnn_cli.engine.settings import Preprocessing

State = dict[str, Tensor]


@dataclass(frozen=True)
class Pretrained:
    """ImageNet weights: states of the feature layers, and of fc6 and fc7.

    head: of fc6 and fc7; empty if there are none.

    preprocessing: how pixels are prepared for these weights; its scale is ignored.
    """

    features: State
    head: State
    preprocessing: Preprocessing


@dataclass(frozen=True)
class Backbone:
    """A backbone.

    defaults: name and default settings. build: returns the feature layers, (N, 3, H, W) ->
    (N, channels, about H / stride, about W / stride). channels, stride: of the feature map, the
    stride in input pixels. pooled: output height and width of RoI pooling. hidden: outputs of fc6
    and fc7. frozen: prefixes of the parameters that training does not change. new_layers: prefixes
    of the feature layers that have no ImageNet weights. pretrained_fc: whether ImageNet weights
    include fc6 and fc7. pretrained_rate: factor of the learning rate for feature layers with
    ImageNet weights. averaged: whether fc6 reads the mean over the cells of the pooled map.
    read: extracts the used weights from the published state. Raises KeyError if a tensor is
    missing, ValueError if the state belongs to another network.
    download: returns the published state from its package or publisher. Raises InputError or a
    network error if it is not available.
    """

    defaults: BackboneDefaults
    build: Callable[[], nn.Module]
    channels: int
    frozen: tuple[str, ...]
    read: Callable[[Mapping[str, Tensor]], Pretrained]
    download: Callable[[], Mapping[str, Tensor]]
    stride: int = 16
    pooled: tuple[int, int] = (7, 7)
    hidden: tuple[int, int] = (4096, 4096)
    new_layers: tuple[str, ...] = ()
    pretrained_fc: bool = False
    pretrained_rate: float = 1.0
    averaged: bool = False

    @property
    def name(self) -> str:
        """The name to pass to `find_backbone`."""
        return self.defaults.name

    @property
    def fc6_inputs(self) -> int:
        """Number of inputs of fc6."""
        return self.channels * (1 if self.averaged else math.prod(self.pooled))

    @property
    def preprocessing(self) -> Preprocessing:
        """The default preprocessing."""
        return self.defaults.preprocessing


def torchvision_state(name: str) -> Mapping[str, Tensor]:
    """Download torchvision's default ImageNet weights of one of its networks."""
    from torchvision.models import get_model_weights

    state: Mapping[str, Tensor] = get_model_weights(name).DEFAULT.get_state_dict(check_hash=True)
    return state


def renamed(published: Mapping[str, Tensor], layers: Mapping[str, str]) -> State:
    """Weights and biases of `layers`, a mapping from our names to the published names."""
    return {
        f"{ours}.{part}": published[f"{theirs}.{part}"]
        for ours, theirs in layers.items()
        for part in ("weight", "bias")
    }


def initialise(features: nn.Module) -> nn.Module:
    """Initialise every convolution as He et al. (2015), with biases 0; return `features`.

    Layers on the meta device are skipped: they hold no numbers, and initialising them would import
    torch's compiler.
    """
    for layer in features.modules():
        if isinstance(layer, nn.Conv2d) and not layer.weight.is_meta:
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return features
