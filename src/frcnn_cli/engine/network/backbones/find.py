"""Backbones and their default settings by name; torch is imported only to build a network."""

from __future__ import annotations

import difflib
from functools import cache
from typing import TYPE_CHECKING

from frcnn_cli.engine.network.backbones.defaults import DEFAULTS, TORCHVISION, BackboneDefaults
from frcnn_proposals.errors import MisuseError, reason

if TYPE_CHECKING:
    from frcnn_cli.engine.network.backbones.base import Backbone


def find_defaults(name: str) -> BackboneDefaults:
    """The default settings of a backbone. Raises MisuseError as `find_backbone`.

    torchvision itself knows how the pixels of its networks are prepared, and is imported for them
    alone.
    """
    return DEFAULTS[name] if name in DEFAULTS else find_backbone(name).defaults


def _unknown(name: str) -> MisuseError:
    """The error for a name that is not one of DEFAULTS, nor torchvision's by its prefix."""
    shown = reason(name)  # from a foreign file, it may be anything
    near = difflib.get_close_matches(shown, DEFAULTS, n=1)
    hint = (
        f"Did you mean '{near[0]}'?"
        if near
        else f"Known: {', '.join(DEFAULTS)},\nand torchvision's networks by name, as in "
        f"{TORCHVISION}resnet50."
    )
    return MisuseError(f"There is no backbone '{shown}'. {hint}")


def find_backbone(name: str) -> Backbone:
    """The backbone of that name: one of DEFAULTS, or torchvision:NAME.

    Raises MisuseError for an unknown name, with the nearest, and for a network of
    torchvision's that has no feature map of stride 16.
    """
    if name in DEFAULTS:
        return _own_backbones()[name]
    if not name.startswith(TORCHVISION):
        raise _unknown(name)
    from frcnn_cli.engine.network.backbones.torchvision_networks import (
        network_names,
        torchvision_backbone,
    )

    network = name.removeprefix(TORCHVISION)
    if network in network_names():
        return torchvision_backbone(network)
    near = difflib.get_close_matches(network, network_names(), n=1)
    if near:
        shown = reason(name)
        raise MisuseError(f"There is no backbone '{shown}'. Did you mean '{TORCHVISION}{near[0]}'?")
    raise _unknown(name)


@cache
def _own_backbones() -> dict[str, Backbone]:
    from frcnn_cli.engine.network.backbones.alexnet import ALEXNET
    from frcnn_cli.engine.network.backbones.caffe import CAFFENET, VGG_CNN_M_1024
    from frcnn_cli.engine.network.backbones.efficientnet_lite import (
        EFFICIENTNET_LITE0,
        EFFICIENTNET_LITE1,
        EFFICIENTNET_LITE2,
    )
    from frcnn_cli.engine.network.backbones.vgg16 import VGG16

    return {
        backbone.name: backbone
        for backbone in (
            *(EFFICIENTNET_LITE0, EFFICIENTNET_LITE1, EFFICIENTNET_LITE2),
            *(CAFFENET, VGG_CNN_M_1024, VGG16, ALEXNET),
        )
    }
