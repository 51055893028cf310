"""CaffeNet and VGG_CNN_M_1024, the paper's models S and M, and functions shared with VGG16.

Layers are named as in Caffe (conv1, ..., fc7), so that Caffe's weights are read by name. fc6 takes
the pooled features in the order C, H, W, as in Caffe.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping

from torch import Tensor, nn

from frcnn_cli.engine.network.backbones.base import Backbone, Pretrained, initialise
from frcnn_cli.engine.network.backbones.defaults import CAFFE_PIXELS, DEFAULTS
from frcnn_proposals.errors import InputError


class LocalResponseNorm(nn.LocalResponseNorm):
    """Caffe's LRN: x / (k + alpha / size * sum of x^2 over the `size` nearest channels)^beta.

    Computed in float32, the only type that torch supports for it.
    """

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.float()).to(x.dtype)


def named_layers(*layers: tuple[str, nn.Module]) -> nn.Sequential:
    """A sequence of layers with the given names, initialised."""
    sequence = nn.Sequential(OrderedDict(layers))
    initialise(sequence)
    return sequence


def ceil_pool(kernel: int, padding: int = 0) -> nn.MaxPool2d:
    """Max pooling with stride 2 that rounds its output size up, as in Caffe."""
    return nn.MaxPool2d(kernel, stride=2, padding=padding, ceil_mode=True)


def read_caffe_names(published: Mapping[str, Tensor]) -> Pretrained:
    """Read a state with Caffe's names; layers after fc7 are ignored."""
    if "conv1.weight" not in published and "conv1_1.weight" not in published:
        raise KeyError("conv1.weight")
    features = {name: value for name, value in published.items() if name.startswith("conv")}
    head = {name: value for name, value in published.items() if name.startswith(("fc6.", "fc7."))}
    return Pretrained(features, head, CAFFE_PIXELS)


def not_offered(name: str) -> Callable[[], Mapping[str, Tensor]]:
    """The `download` of a network whose weights are not published in a readable format."""

    def download() -> Mapping[str, Tensor]:
        raise InputError(
            f"ImageNet weights of {name} cannot be downloaded.\nGive them as --weights FILE "
            "(`frcnn import-caffe` converts a .caffemodel),\nor start from random weights with "
            "--weights none."
        )

    return download


def caffenet_features() -> nn.Sequential:
    """conv1 to relu5 of CaffeNet (Jia et al., 2014; AlexNet of one tower), the paper's model S.

    (N, 3, H, W) -> (N, 256, h, w), at stride 16. Normalisation follows pooling; conv2, conv4 and
    conv5 have two groups, one per GPU of the original AlexNet. Unlike the classifier, Fast R-CNN
    pads conv1 and the pooling layers, so that the cells lie where RoI pooling expects them. Sizes
    for an image of 600 x 1000: conv1 150 x 250, pool1 76 x 126, pool2 39 x 64. torchvision's
    AlexNet is a different network.
    """
    return named_layers(
        ("conv1", nn.Conv2d(3, 96, 11, stride=4, padding=5)),
        ("relu1", nn.ReLU(inplace=True)),
        ("pool1", ceil_pool(3, padding=1)),
        ("norm1", LocalResponseNorm(size=5, alpha=0.0001, beta=0.75, k=1.0)),
        ("conv2", nn.Conv2d(96, 256, 5, padding=2, groups=2)),
        ("relu2", nn.ReLU(inplace=True)),
        ("pool2", ceil_pool(3, padding=1)),
        ("norm2", LocalResponseNorm(size=5, alpha=0.0001, beta=0.75, k=1.0)),
        ("conv3", nn.Conv2d(256, 384, 3, padding=1)),
        ("relu3", nn.ReLU(inplace=True)),
        ("conv4", nn.Conv2d(384, 384, 3, padding=1, groups=2)),
        ("relu4", nn.ReLU(inplace=True)),
        ("conv5", nn.Conv2d(384, 256, 3, padding=1, groups=2)),
        ("relu5", nn.ReLU(inplace=True)),
    )


def vgg_cnn_m_features() -> nn.Sequential:
    """conv1 to relu5 of VGG_CNN_M_1024 (Chatfield et al., 2014), the paper's model M.

    (N, 3, H, W) -> (N, 512, h, w), at stride 16. Normalisation precedes pooling. Sizes for an image
    of 600 x 1000: conv1 297 x 497, pool1 148 x 248, conv2 73 x 123, pool2 36 x 61.
    """
    return named_layers(
        ("conv1", nn.Conv2d(3, 96, 7, stride=2)),
        ("relu1", nn.ReLU(inplace=True)),
        ("norm1", LocalResponseNorm(size=5, alpha=0.0005, beta=0.75, k=2.0)),
        ("pool1", ceil_pool(3)),
        ("conv2", nn.Conv2d(96, 256, 5, stride=2, padding=1)),
        ("relu2", nn.ReLU(inplace=True)),
        ("norm2", LocalResponseNorm(size=5, alpha=0.0005, beta=0.75, k=2.0)),
        ("pool2", ceil_pool(3)),
        ("conv3", nn.Conv2d(256, 512, 3, padding=1)),
        ("relu3", nn.ReLU(inplace=True)),
        ("conv4", nn.Conv2d(512, 512, 3, padding=1)),
        ("relu4", nn.ReLU(inplace=True)),
        ("conv5", nn.Conv2d(512, 512, 3, padding=1)),
        ("relu5", nn.ReLU(inplace=True)),
    )


def _backbone(
    name: str, build: Callable[[], nn.Module], channels: int, hidden: tuple[int, int]
) -> Backbone:
    return Backbone(
        defaults=DEFAULTS[name],
        build=build,
        channels=channels,
        pooled=(6, 6),
        hidden=hidden,
        frozen=("conv1.",),
        pretrained_fc=True,
        read=read_caffe_names,
        download=not_offered(name),
    )


CAFFENET = _backbone("caffenet", caffenet_features, 256, (4096, 4096))
VGG_CNN_M_1024 = _backbone("vgg_cnn_m_1024", vgg_cnn_m_features, 512, (4096, 1024))
