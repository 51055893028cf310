"""Classification networks of torchvision as backbones, by names such as `torchvision:resnet50`.

The network is cut at its last complete map of stride 16. Batch norms keep the statistics, gains and
shifts of ImageNet, also in training, since two images are too few to estimate them. Layers before
the first map of stride 4 are frozen; in the paper's networks, these are the layers that the paper
freezes.
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
from frcnn_cli.engine.settings import Preprocessing, Schedule, TrainSettings
from frcnn_proposals.errors import MisuseError

# These two networks need `transform_input` to rescale their input as in their training.
_INCEPTIONS: dict[str, Any] = {
    "transform_input": True,
    "aux_logits": False,
    "init_weights": False,
}
# The auxiliary classifiers, which are used only in ImageNet training.
_AUXILIARY = ("aux1.", "aux2.", "AuxLogits.")
# The published DenseNets are named norm.1 instead of norm1.
_DENSE_LAYER = re.compile(r"(denselayer\d+\.(?:norm|conv))\.([12])\.")
_ARGUMENTS = {"googlenet": _INCEPTIONS, "inception_v3": _INCEPTIONS}


def network_names() -> list[str]:
    """Names of torchvision's classification networks."""
    names: list[str] = torchvision.models.list_models(module=torchvision.models)
    return names


@cache
def torchvision_backbone(name: str) -> Backbone:
    """The backbone from one of `network_names`.

    Raises MisuseError if the network has no feature map of stride 16.
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
        # Layers from ImageNet learn at the paper's rate; fc6 and fc7, which start from random
        # weights, learn at ten times that rate.
        defaults=BackboneDefaults(
            f"{TORCHVISION}{name}",
            preprocessing,
            TrainSettings(schedule=Schedule(learning_rate=0.01, warmup=200)),
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
            f"{TORCHVISION}{name} cannot be a backbone: {error}.\nUse a convolutional network such "
            "as torchvision:resnet50, torchvision:mobilenet_v3_large or torchvision:convnext_tiny."
        ) from error


def _classifier(name: str) -> nn.Module:
    """The whole network, without ImageNet weights, on the current default device."""
    arguments = _ARGUMENTS.get(name, {})
    device = torch.get_default_device()
    # RegNets compute their widths with tensors, which cannot be read back from the meta device.
    with torch.device("cpu" if name.startswith("regnet") else device):
        network: nn.Module = torchvision.models.get_model(name, weights=None, **arguments)
    return network.to(device).eval()


def _features_of(
    published: Mapping[str, Tensor], name: str, build: Callable[[], nn.Module]
) -> State:
    """The state of the feature layers, from the state of a whole network.

    Raises KeyError if a tensor is missing, ValueError for a tensor of another network, such as a
    deeper network of the same family.
    """
    with torch.device("meta"):
        classifier, features = _classifier(name).state_dict(), build().state_dict()
    tensors = {_DENSE_LAYER.sub(r"\1\2.", key): value for key, value in published.items()}
    for key in tensors:
        if key not in classifier and not key.startswith(_AUXILIARY):
            raise ValueError(f"{key} is not part of it")
    return {key: tensors[key] for key in features}


def _preprocessing(name: str) -> Preprocessing:
    """The pixels of the default weights, at the paper's scale."""
    transforms = torchvision.models.get_model_weights(name).DEFAULT.transforms()
    return Preprocessing(mean=tuple(transforms.mean), std=tuple(transforms.std))


_NAMES = ("weight", "bias", "running_mean", "running_var")


class FrozenBatchNorm2d(nn.Module):
    """(x - running_mean) / sqrt(running_var + eps) * weight + bias, each (C,); x: (N, C, H, W).

    All four are buffers, which no optimizer changes, named as in nn.BatchNorm2d. They stay float32
    for x in bfloat16, and so does the type of the result; torchvision's FrozenBatchNorm2d would
    convert it to float32.
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
    """Replace every nn.BatchNorm2d by a FrozenBatchNorm2d with mean 0 and variance 1."""
    for path, layer in list(network.named_modules()):
        if isinstance(layer, nn.BatchNorm2d):
            network.set_submodule(path, FrozenBatchNorm2d(layer.num_features, layer.eps))
