"""What the paper's networks share: Caffe's pixels, its names for layers, its pooling.

Layers are named as in Caffe (conv1, ..., fc7), so that its weights are read by name. fc6
takes the pooled features in the order C, H, W, as Caffe does.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping

from torch import Tensor, nn

from frcnn_cli.engine.network.backbones.base import Pretrained, initialise
from frcnn_cli.engine.network.backbones.defaults import CAFFE_PIXELS
from frcnn_proposals.errors import InputError


class LocalResponseNorm(nn.LocalResponseNorm):
    """x / (k + alpha / size * sum of x^2 over the `size` channels around)^beta, Caffe's LRN.

    Computed in float32, which is all that torch has it in.
    """

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.float()).to(x.dtype)


def named_layers(*layers: tuple[str, nn.Module]) -> nn.Sequential:
    """Layers that run one after another, under Caffe's names, initialised."""
    sequence = nn.Sequential(OrderedDict(layers))
    initialise(sequence)
    return sequence


def ceil_pool(kernel: int, padding: int = 0) -> nn.MaxPool2d:
    """Max pooling of stride 2 whose output size is rounded up, as in Caffe."""
    return nn.MaxPool2d(kernel, stride=2, padding=padding, ceil_mode=True)


def read_caffe_names(published: Mapping[str, Tensor]) -> Pretrained:
    """A state whose names are Caffe's; layers behind fc7 are not used."""
    if "conv1.weight" not in published and "conv1_1.weight" not in published:
        raise KeyError("conv1.weight")
    features = {name: value for name, value in published.items() if name.startswith("conv")}
    head = {name: value for name, value in published.items() if name.startswith(("fc6.", "fc7."))}
    return Pretrained(features, head, CAFFE_PIXELS)


def not_offered(name: str) -> Callable[[], Mapping[str, Tensor]]:
    """The `download` of a network whose weights nobody offers in a form that can be read."""

    def download() -> Mapping[str, Tensor]:
        raise InputError(
            f"There are no ImageNet weights of {name} to download. Give a file of them with "
            "--weights FILE\n(`frcnn import-caffe` makes one of a .caffemodel), or train from "
            "nothing with --weights none."
        )

    return download
