"""Any classification network of torchvision as a backbone: `torchvision:resnet50`.

The network is cut where its map of stride 16 is complete. Batch norms keep the statistics,
gains and shifts of ImageNet, in training too: two images are too few to measure them. What
comes before the first map of stride 4 is frozen, which for the paper's own networks is what
the paper freezes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache, partial
from typing import Any

import torch
import torch.nn.functional as F
import torchvision
from torch import Tensor, nn

from frcnn_cli.engine.network.backbones.base import Backbone, Pretrained, State, torchvision_state
from frcnn_cli.engine.network.backbones.defaults import TORCHVISION, BackboneDefaults
from frcnn_cli.engine.network.backbones.stride16 import Cut, cut_at, find_cut
from frcnn_cli.engine.settings import Preprocessing, Schedule
from frcnn_proposals.errors import MisuseError

# These two rescale their input to what their weights were trained on, but only if told to.
_INCEPTIONS: dict[str, Any] = {
    "transform_input": True,
    "aux_logits": False,
    "init_weights": False,
}
# Their second and third classifiers, which only their own training uses.
_AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")
# The published DenseNets say norm.1 for norm1.
_DENSE_LAYER = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12])\.")
_ARGUMENTS = {"googlenet": _INCEPTIONS, "inception_v3": _INCEPTIONS}


def network_names() -> list[str]:
    """torchvision's classification networks."""
    names: list[str] = torchvision.models.list_models(module=torchvision.models)
    return names


@cache
def torchvision_backbone(name: str) -> Backbone:
    """The backbone on one of `network_names`.

    Raises MisuseError where it has no feature map of stride 16.
    """
    cut = _cut_of(name)
    preprocessing = _preprocessing(name)

    def build() -> nn.Module:
        features = cut_at(_classifier(name), cut)
        freeze_batch_norms(features)
        return features

    def read(published: Mapping[str, Tensor]) -> Pretrained:
        return Pretrained(_features_of(published, name, build), {}, preprocessing)

    return Backbone(
        # The paper's rate for the layers from ImageNet; fc6 and fc7, which start from nothing,
        # learn ten times as fast.
        defaults=BackboneDefaults(
            f"{TORCHVISION}{name}", preprocessing, Schedule(learning_rate=0.01, warmup=200)
        ),
        build=build,
        channels=cut.channels,
        hidden=(1024, 1024),
        frozen=cut.early_layers,
        pretrained_rate=0.1,
        read=read,
        download=partial(torchvision_state, name),
    )


def _cut_of(name: str) -> Cut:
    with torch.device("meta"):
        network = _classifier(name)
    try:
        return find_cut(network)
    except ValueError as error:
        raise MisuseError(
            f"{TORCHVISION}{name} cannot be a backbone: {error}.\nConvolutional networks can, as "
            "torchvision:resnet50, torchvision:mobilenet_v3_large or torchvision:convnext_tiny."
        ) from error


def _classifier(name: str) -> nn.Module:
    """The whole network, without ImageNet's weights, on the device that is the default now."""
    arguments = _ARGUMENTS.get(name, {})
    device = torch.get_default_device()
    # RegNets work their widths out by tensors, which cannot be read back from the meta device.
    with torch.device("cpu" if name.startswith("regnet") else device):
        network: nn.Module = torchvision.models.get_model(name, weights=None, **arguments)
    return network.to(device).eval()


def _features_of(
    published: Mapping[str, Tensor], name: str, build: Callable[[], nn.Module]
) -> State:
    """The part of a whole network's state that its feature layers hold.

    Raises KeyError where a tensor is missing, ValueError for one of another network, such as
    a deeper one of the same family.
    """
    with torch.device("meta"):
        whole, kept = _classifier(name).state_dict(), build().state_dict()
    named = {_DENSE_LAYER.sub(r"\1\2.", each): value for each, value in published.items()}
    for each in named:
        if each not in whole and not each.startswith(_AUXILIARY):
            raise ValueError(f"{each} is not in it")
    return {each: named[each] for each in kept}


def _preprocessing(name: str) -> Preprocessing:
    """As the default weights expect their pixels; the paper's scale."""
    transforms = torchvision.models.get_model_weights(name).DEFAULT.transforms()
    return Preprocessing(mean=tuple(transforms.mean), std=tuple(transforms.std))


_NAMES = ("weight", "bias", "running_mean", "running_var")


class FrozenBatchNorm2d(nn.Module):
    """(x - running_mean) / sqrt(running_var + eps) * weight + bias, each (C,); x: (N, C, H, W).

    All four are buffers, which no optimizer changes. They are named as in nn.BatchNorm2d and
    stay float32 for x in bfloat16, which torchvision's FrozenBatchNorm2d would make float32.
    """

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, channels: int, eps: float) -> None:
        super().__init__()
        self.eps = eps
        for name, value in zip(_NAMES, (1.0, 0.0, 0.0, 1.0), strict=True):
            self.register_buffer(name, torch.full((channels,), value))

    def forward(self, x: Tensor) -> Tensor:
        return F.batch_norm(
            x, self.running_mean, self.running_var, self.weight, self.bias, False, 0.0, self.eps
        )


def freeze_batch_norms(network: nn.Module) -> None:
    """Put a FrozenBatchNorm2d, with statistics 0 and 1, in the place of every nn.BatchNorm2d."""
    for path, layer in list(network.named_modules()):
        if isinstance(layer, nn.BatchNorm2d):
            network.set_submodule(path, FrozenBatchNorm2d(layer.num_features, layer.eps))
