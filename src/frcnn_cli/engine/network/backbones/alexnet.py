"""torchvision's AlexNet (Krizhevsky, 2014: one tower, no groups, no normalisation), to conv5."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from frcnn_cli.engine.network.backbones.base import Backbone, Pretrained
from frcnn_cli.engine.network.backbones.defaults import DEFAULTS
from frcnn_cli.engine.settings import Preprocessing

_FEATURES = "features."


def features() -> nn.Module:
    """(N, 3, H, W) -> (N, 256, h, w), h and w about a sixteenth."""
    import torchvision

    layers: nn.Module = torchvision.models.alexnet(weights=None).features[:-1]
    return layers


def read(published: Mapping[str, Tensor]) -> Pretrained:
    """torchvision's weights, fc6 and fc7 included."""
    layers = {
        name.removeprefix(_FEATURES): value
        for name, value in published.items()
        if name.startswith(_FEATURES)
    }
    head = {
        f"{ours}.{part}": published[f"classifier.{theirs}.{part}"]
        for ours, theirs in (("fc6", 1), ("fc7", 4))
        for part in ("weight", "bias")
    }
    return Pretrained(layers, head, Preprocessing())


def download() -> Mapping[str, Tensor]:
    """torchvision's published weights."""
    from torchvision.models import AlexNet_Weights

    state: Mapping[str, Tensor] = AlexNet_Weights.IMAGENET1K_V1.get_state_dict(check_hash=True)
    return state


ALEXNET = Backbone(
    defaults=DEFAULTS["alexnet"],
    build=features,
    channels=256,
    stride=16,
    pooled=(6, 6),
    hidden=(4096, 4096),
    frozen=("0.",),  # conv1
    new_layers=(),
    pretrained_rate=1.0,
    read=read,
    download=download,
)
