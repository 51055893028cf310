"""Any classification network of torchvision as a backbone: `torchvision:resnet50`.

The network is cut where its map of stride 16 is complete. Batch norms keep the statistics,
gains and shifts of ImageNet, in training too: two images are too few to measure them. What
comes before the first map of stride 4 is frozen, which for the paper's own networks is what
the paper freezes.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import torch
import torchvision
from torch import Tensor, nn
from torchvision.ops.misc import FrozenBatchNorm2d

from frcnn_cli.engine.backbones.base import Backbone, Pretrained
from frcnn_cli.engine.backbones.stride16 import Cut, cut_at, find_cut
from frcnn_cli.engine.settings import Preprocessing, Schedule
from frcnn_proposals.errors import MisuseError

PREFIX = "torchvision:"
# These two rescale their input to what their weights were trained on, but only if told to.
_INCEPTIONS: dict[str, Any] = {
    "transform_input": True,
    "aux_logits": False,
    "init_weights": False,
}
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
        _freeze_batch_norms(features)
        return features

    def read(published: Mapping[str, Tensor]) -> Pretrained:
        with torch.device("meta"):
            names = build().state_dict()
        return Pretrained({each: published[each] for each in names}, {}, preprocessing)

    return Backbone(
        name=f"{PREFIX}{name}",
        build=build,
        channels=cut.channels,
        pooled=(7, 7),
        hidden=(1024, 1024),
        preprocessing=preprocessing,
        # The paper's rate for the layers from ImageNet; fc6 and fc7, which start from nothing,
        # learn ten times as fast.
        schedule=Schedule(learning_rate=0.01, warmup=200),
        frozen=cut.early_layers,
        new_layers=(),
        pretrained_rate=0.1,
        read=read,
        download=lambda: _default_weights(name).get_state_dict(check_hash=True),
    )


def _cut_of(name: str) -> Cut:
    with torch.device("meta"):
        network = _classifier(name)
    try:
        return find_cut(network)
    except ValueError as error:
        raise MisuseError(
            f"{PREFIX}{name} cannot be a backbone: {error}.\nConvolutional networks can, as "
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


def _default_weights(name: str) -> Any:
    return torchvision.models.get_model_weights(name).DEFAULT


def _preprocessing(name: str) -> Preprocessing:
    """As the default weights expect their pixels; the paper's scale."""
    transforms = _default_weights(name).transforms()
    return Preprocessing(mean=tuple(transforms.mean), std=tuple(transforms.std))


def _freeze_batch_norms(features: nn.Module) -> None:
    for path, layer in list(features.named_modules()):
        if isinstance(layer, nn.BatchNorm2d):
            frozen = FrozenBatchNorm2d(layer.num_features, layer.eps)
            features.set_submodule(path, frozen)
