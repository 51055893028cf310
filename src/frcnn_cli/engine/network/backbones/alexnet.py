"""torchvision's AlexNet up to conv5 (Krizhevsky, 2014: one tower, no groups or normalisation)."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from torch import Tensor, nn

from frcnn_cli.engine.network.backbones.base import Backbone, Pretrained, renamed, torchvision_state
from frcnn_cli.engine.network.backbones.defaults import DEFAULTS
from frcnn_cli.engine.settings import Preprocessing

_FEATURES = "features."


def features() -> nn.Module:
    """(N, 3, H, W) -> (N, 256, h, w), at stride 16."""
    import torchvision

    layers: nn.Module = torchvision.models.alexnet(weights=None).features[:-1]
    return layers


def read(published: Mapping[str, Tensor]) -> Pretrained:
    """Read torchvision's weights, including fc6 and fc7."""
    layers = {
        name.removeprefix(_FEATURES): value
        for name, value in published.items()
        if name.startswith(_FEATURES)
    }
    head = renamed(published, {"fc6": "classifier.1", "fc7": "classifier.4"})
    return Pretrained(layers, head, Preprocessing())


ALEXNET = Backbone(
    defaults=DEFAULTS["alexnet"],
    build=features,
    channels=256,
    pooled=(6, 6),
    frozen=("0.",),  # conv1
    pretrained_fc=True,
    read=read,
    download=partial(torchvision_state, "alexnet"),
)
