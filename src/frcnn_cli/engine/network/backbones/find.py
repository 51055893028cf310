"""Backbones and their default settings by name; torch is imported only to build a network."""

from __future__ import annotations

import difflib
import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path
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
    """The error for a name that is neither one of DEFAULTS nor of torchvision's."""
    shown = reason(name)  # from a foreign file, it may be anything
    own = [] if name.startswith(TORCHVISION) else difflib.get_close_matches(shown, DEFAULTS, n=1)
    others = difflib.get_close_matches(shown.removeprefix(TORCHVISION), _names_in_source(), n=1)
    if near := [*own, *(TORCHVISION + other for other in others)]:
        return MisuseError(f"There is no backbone '{shown}'. Did you mean '{near[0]}'?")
    return MisuseError(
        f"There is no backbone '{shown}'. Known: {', '.join(DEFAULTS)},\n"
        f"and torchvision's networks by name, as in {TORCHVISION}resnet50."
    )


def _names_in_source() -> list[str]:
    """torchvision's classification networks, read from its source: importing it takes seconds."""
    package = find_spec("torchvision")
    folders = package.submodule_search_locations if package else None
    files = [path for folder in folders or () for path in Path(folder).glob("models/*.py")]
    registered = re.compile(r"^@register_model\(\)\n(?:[^\n]*\n)*?def (\w+)\(", re.MULTILINE)
    return [name for path in files for name in registered.findall(path.read_text("utf-8"))]


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
    if network not in network_names():
        raise _unknown(name)
    return torchvision_backbone(network)


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
