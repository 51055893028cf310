"""VGG16 (Simonyan and Zisserman, 2015), the paper's model L, up to conv5_3.

Pooling rounds sizes up: an image of 600 x 1000 gives a map of 38 x 63. Weights come from Caffe, or
from torchvision, whose network has the same layers but rounds down. The two expect different
pixels, and the model stores which.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial

import torch
from torch import Tensor, nn

from frcnn_cli.engine.network.backbones.base import Backbone, Pretrained, renamed, torchvision_state
from frcnn_cli.engine.network.backbones.caffe import ceil_pool, named_layers, read_caffe_names
from frcnn_cli.engine.network.backbones.defaults import DEFAULTS
from frcnn_cli.engine.settings import Preprocessing

# Channels of the convolutions of each block; pooling separates the blocks.
BLOCKS = ((64, 64), (128, 128), (256, 256, 256), (512, 512, 512), (512, 512, 512))
PLANAR = 512  # with at least this many output channels, channels first train faster


def features() -> nn.Sequential:
    """conv1_1 to relu5_3: (N, 3, H, W) -> (N, 512, ceil(H / 16), ceil(W / 16))."""
    return named_layers(*_layers())


def _layers() -> Iterator[tuple[str, nn.Module]]:
    inputs = 3
    for block, channels in enumerate(BLOCKS, 1):
        for index, outputs in enumerate(channels, 1):
            convolution = PlanarConv2d if outputs >= PLANAR else nn.Conv2d
            yield f"conv{block}_{index}", convolution(inputs, outputs, 3, padding=1)
            yield f"relu{block}_{index}", nn.ReLU(inplace=True)
            inputs = outputs
        if block < len(BLOCKS):
            yield f"pool{block}", ceil_pool(2)


def read(published: Mapping[str, Tensor]) -> Pretrained:
    """Read weights with Caffe's or torchvision's names."""
    if "conv1_1.weight" in published:
        return read_caffe_names(published)
    names = enumerate(name for name, _ in _layers())
    convolutions = {name: f"features.{index}" for index, name in names if name.startswith("conv")}
    head = renamed(published, {"fc6": "classifier.0", "fc7": "classifier.3"})
    return Pretrained(renamed(published, convolutions), head, Preprocessing())


VGG16 = Backbone(
    defaults=DEFAULTS["vgg16"],
    build=features,
    channels=512,
    frozen=("conv1_", "conv2_"),
    pretrained_fc=True,
    read=read,
    download=partial(torchvision_state, "vgg16"),
)


class PlanarConv2d(nn.Conv2d):
    """nn.Conv2d that trains with channels first where this is faster: in float32 on a CPU.

    oneDNN computes the gradient of a 3 x 3 weight with 512 input and output channels a quarter
    slower with channels last. The rest of the network is faster with channels last. Values differ
    only by rounding.
    """

    def forward(self, x: Tensor) -> Tensor:
        trains = torch.is_grad_enabled() and self.weight.requires_grad
        if trains and x.device.type == "cpu" and not torch.is_autocast_enabled("cpu"):
            planar: Tensor = self._conv_forward(x.contiguous(), self.weight.contiguous(), self.bias)
            return planar
        return super().forward(x)
