"""EfficientNet-Lite0 and 2 up to their last map, for training from image labels.

RoI pooling reads the last map of the ImageNet network, and the mean of its cells is the input of
fc6, as in the network itself. Training from image labels needs this: its loss says nothing about
single RoIs, and does not teach a random fc6 to tell an object from its parts.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import torch
from torch import Tensor, nn

from frcnn_cli.engine.network.backbones.base import Backbone, Pretrained, State, initialise
from frcnn_cli.engine.network.backbones.defaults import DEFAULTS
from frcnn_cli.engine.network.backbones.efficientnet_lite import (
    STEM_CHANNELS,
    Stage,
    folded,
    packaged_weights,
    published_weights,
    scaled_stages,
    stage_layers,
)
from frcnn_cli.engine.network.layers.relu6 import InPlaceReLU6

_OUTPUTS = 1280  # of the final convolution
_POOLED = 3


class AllLayers(nn.Module):
    """(N, 3, H, W) -> (N, 1280, ceil(H / 32), ceil(W / 32)), not negative."""

    def __init__(self, stages: tuple[Stage, ...]) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, STEM_CHANNELS, 3, 2, padding=1)
        self.activation = InPlaceReLU6()
        self.stages = stage_layers(stages, STEM_CHANNELS)
        self.final = nn.Conv2d(stages[-1].channels, _OUTPUTS, 1)
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        x: Tensor = self.activation(self.stem(images))
        for stage in self.stages:
            x = stage(x)
        maps: Tensor = self.activation(self.final(x))
        return maps


def pretrained_weights(
    published: Mapping[str, Tensor], stages: tuple[Stage, ...]
) -> tuple[State, State]:
    """The states of the feature layers, and of fc6 and fc7.

    fc6 and fc7 start as the identity, so that the network computes what the published one does.
    """
    features: State = published_weights(published, [stage.repeats for stage in stages])
    features["final.weight"], features["final.bias"] = folded(published, "_conv_head", "_bn1")
    head: State = {}
    for name in ("fc6", "fc7"):
        head |= {f"{name}.weight": torch.eye(_OUTPUTS), f"{name}.bias": torch.zeros(_OUTPUTS)}
    return features, head


def _variant(number: int, width: float, depth: float) -> Backbone:
    stages = scaled_stages(width, depth)
    defaults = DEFAULTS[f"efficientnet_lite{number}_c5"]

    def read(published: Mapping[str, Tensor]) -> Pretrained:
        return Pretrained(*pretrained_weights(published, stages), defaults.preprocessing)

    return Backbone(
        defaults=defaults,
        build=partial(AllLayers, stages),
        channels=_OUTPUTS,
        stride=32,
        pooled=(_POOLED, _POOLED),
        hidden=(_OUTPUTS, _OUTPUTS),
        # Gradients of the layers up to stride 16 would take most of the time of a step.
        frozen=("stem", *(f"stages.{index}." for index in range(5))),
        pretrained_fc=True,
        pretrained_rate=0.1,  # as for the networks with a map of stride 8
        averaged=True,
        read=read,
        download=partial(packaged_weights, number),
    )


EFFICIENTNET_LITE0_C5 = _variant(0, width=1.0, depth=1.0)
EFFICIENTNET_LITE2_C5 = _variant(2, width=1.1, depth=1.2)
