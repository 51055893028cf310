"""VGG_CNN_M_1024 (Chatfield et al., 2014), the paper's model M, up to conv5.

Normalisation comes before pooling. Sizes for an image of 600 x 1000: conv1 297 x 497,
pool1 148 x 248, conv2 73 x 123, pool2 36 x 61.
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
    """conv1 to relu5: (N, 3, H, W) -> (N, 512, h, w), h and w about a sixteenth."""
    return named_layers(
        ("conv1", nn.Conv2d(3, 96, 7, stride=2)),
        ("relu1", nn.ReLU(inplace=True)),
        ("norm1", _normalisation()),
        ("pool1", ceil_pool(3)),
        ("conv2", nn.Conv2d(96, 256, 5, stride=2, padding=1)),
        ("relu2", nn.ReLU(inplace=True)),
        ("norm2", _normalisation()),
        ("pool2", ceil_pool(3)),
        ("conv3", nn.Conv2d(256, 512, 3, padding=1)),
        ("relu3", nn.ReLU(inplace=True)),
        ("conv4", nn.Conv2d(512, 512, 3, padding=1)),
        ("relu4", nn.ReLU(inplace=True)),
        ("conv5", nn.Conv2d(512, 512, 3, padding=1)),
        ("relu5", nn.ReLU(inplace=True)),
    )


def _normalisation() -> LocalResponseNorm:
    """x / (2 + 0.0005 / 5 * sum of x^2 over the five channels around)^0.75."""
    return LocalResponseNorm(size=5, alpha=0.0005, beta=0.75, k=2.0)


VGG_CNN_M_1024 = Backbone(
    name="vgg_cnn_m_1024",
    build=features,
    channels=512,
    stride=16,
    pooled=(6, 6),
    hidden=(4096, 1024),
    preprocessing=CAFFE_PIXELS,
    schedule=Schedule(),
    frozen=("conv1.",),
    new_layers=(),
    pretrained_rate=1.0,
    read=read_caffe_names,
    download=not_offered("vgg_cnn_m_1024"),
)
