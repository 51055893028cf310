"""CaffeNet (Jia et al., 2014; AlexNet of one tower), the paper's model S, up to conv5.

Normalisation comes behind pooling; conv2, conv4 and conv5 have two groups, as AlexNet's two
GPUs had. Fast R-CNN pads conv1 and the poolings, which the classifier does not, so that cells
lie where RoI pooling takes them to be. Sizes for an image of 600 x 1000: conv1 150 x 250,
pool1 76 x 126, pool2 39 x 64. torchvision's AlexNet is another network.
"""

from __future__ import annotations

from torch import nn

from frcnn_cli.engine.backbones.base import Backbone
from frcnn_cli.engine.backbones.caffe import (
    CAFFE_PIXELS,
    LocalResponseNorm,
    ceil_pool,
    named_layers,
    not_offered,
    read_caffe_names,
)
from frcnn_cli.engine.settings import Schedule


def features() -> nn.Sequential:
    """conv1 to relu5: (N, 3, H, W) -> (N, 256, h, w), h and w about a sixteenth."""
    return named_layers(
        ("conv1", nn.Conv2d(3, 96, 11, stride=4, padding=5)),
        ("relu1", nn.ReLU(inplace=True)),
        ("pool1", ceil_pool(3, padding=1)),
        ("norm1", _normalisation()),
        ("conv2", nn.Conv2d(96, 256, 5, padding=2, groups=2)),
        ("relu2", nn.ReLU(inplace=True)),
        ("pool2", ceil_pool(3, padding=1)),
        ("norm2", _normalisation()),
        ("conv3", nn.Conv2d(256, 384, 3, padding=1)),
        ("relu3", nn.ReLU(inplace=True)),
        ("conv4", nn.Conv2d(384, 384, 3, padding=1, groups=2)),
        ("relu4", nn.ReLU(inplace=True)),
        ("conv5", nn.Conv2d(384, 256, 3, padding=1, groups=2)),
        ("relu5", nn.ReLU(inplace=True)),
    )


def _normalisation() -> LocalResponseNorm:
    """x / (1 + 0.0001 / 5 * sum of x^2 over the five channels around)^0.75."""
    return LocalResponseNorm(size=5, alpha=0.0001, beta=0.75, k=1.0)


CAFFENET = Backbone(
    name="caffenet",
    build=features,
    channels=256,
    stride=16,
    pooled=(6, 6),
    hidden=(4096, 4096),
    preprocessing=CAFFE_PIXELS,
    schedule=Schedule(),
    frozen=("conv1.",),
    new_layers=(),
    pretrained_rate=1.0,
    read=read_caffe_names,
    download=not_offered("caffenet"),
)
