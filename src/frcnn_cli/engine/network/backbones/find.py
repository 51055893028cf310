"""Backbones by name."""

from __future__ import annotations

import difflib

from frcnn_cli.engine.network.backbones.alexnet import ALEXNET
from frcnn_cli.engine.network.backbones.base import Backbone
from frcnn_cli.engine.network.backbones.caffe_networks import CAFFENET, VGG_CNN_M_1024
from frcnn_cli.engine.network.backbones.efficientnet_lite import (
    EFFICIENTNET_LITE0,
    EFFICIENTNET_LITE1,
    EFFICIENTNET_LITE2,
)
from frcnn_cli.engine.network.backbones.torchvision_networks import (
    PREFIX,
    network_names,
    torchvision_backbone,
)
from frcnn_cli.engine.network.backbones.vgg16 import VGG16
from frcnn_proposals.errors import MisuseError, reason

BACKBONES = {
    backbone.name: backbone
    for backbone in (
        EFFICIENTNET_LITE0,
        EFFICIENTNET_LITE1,
        EFFICIENTNET_LITE2,
        CAFFENET,
        VGG_CNN_M_1024,
        VGG16,
        ALEXNET,
    )
}


def find_backbone(name: str) -> Backbone:
    """The backbone of that name: one of BACKBONES, or torchvision:NAME.

    Raises MisuseError for an unknown name, with the nearest, and for a network of
    torchvision's that has no feature map of stride 16.
    """
    if name in BACKBONES:
        return BACKBONES[name]
    if name.startswith(PREFIX) and name.removeprefix(PREFIX) in network_names():
        return torchvision_backbone(name.removeprefix(PREFIX))
    shown = reason(name)  # out of a stranger's file, it may be anything
    raise MisuseError(f"There is no backbone '{shown}'. {_hint(shown)}")


def _hint(name: str) -> str:
    near = [] if name.startswith(PREFIX) else difflib.get_close_matches(name, BACKBONES, n=1)
    if not near:
        theirs = difflib.get_close_matches(name.removeprefix(PREFIX), network_names(), n=1)
        near = [PREFIX + each for each in theirs]
    if near:
        return f"Did you mean '{near[0]}'?"
    return (
        f"Known: {', '.join(BACKBONES)},\nand torchvision's networks by name, as in "
        f"{PREFIX}resnet50."
    )
