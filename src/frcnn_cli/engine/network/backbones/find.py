"""Find backbones and their default settings by name; imports torch only to build a network."""

from __future__ import annotations

import re
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from frcnn_cli.engine.network.backbones.defaults import DEFAULTS, TORCHVISION, BackboneDefaults
from frcnn_proposals.errors import MisuseError, reason
from frcnn_proposals.suggestions import suggest

if TYPE_CHECKING:
    from frcnn_cli.engine.network.backbones.base import Backbone


def find_defaults(name: str) -> BackboneDefaults:
    """The default settings of a backbone. Raises MisuseError like `find_backbone`.

    torchvision is imported only for its own networks, whose preprocessing it defines.
    """
    return DEFAULTS[name] if name in DEFAULTS else find_backbone(name).defaults


def _unknown(name: str) -> MisuseError:
    """The error for a name that is neither in DEFAULTS nor a torchvision network."""
    shown = reason(name)  # a name from a file can contain any characters
    near = None if name.startswith(TORCHVISION) else suggest(shown, DEFAULTS)
    if near is None and (other := suggest(shown.removeprefix(TORCHVISION), _names_in_source())):
        near = TORCHVISION + other
    if near is not None:
        return MisuseError(f"Unknown backbone '{shown}'. Did you mean '{near}'?")
    return MisuseError(
        f"Unknown backbone '{shown}'. Known backbones: {', '.join(DEFAULTS)},\n"
        f"and torchvision's networks by name, such as {TORCHVISION}resnet50."
    )


def _names_in_source() -> list[str]:
    """Names of torchvision's classification networks, from its source: its import takes seconds."""
    package = find_spec("torchvision")
    folders = package.submodule_search_locations if package else None
    files = [path for folder in folders or () for path in Path(folder).glob("models/*.py")]
    registered = re.compile(r"^@register_model\(\)\n(?:[^\n]*\n)*?def (\w+)\(", re.MULTILINE)
    return [name for path in files for name in registered.findall(path.read_text("utf-8"))]


def find_backbone(name: str) -> Backbone:
    """The backbone with the given name: one of DEFAULTS, or torchvision:NAME.

    Raises MisuseError for an unknown name, with the closest match, and for a torchvision network
    without a feature map of stride 16.
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
    from frcnn_cli.engine.network.backbones.efficientnet_lite_c5 import (
        EFFICIENTNET_LITE0_C5,
        EFFICIENTNET_LITE2_C5,
    )
    from frcnn_cli.engine.network.backbones.vgg16 import VGG16

    return {
        backbone.name: backbone
        for backbone in (
            *(EFFICIENTNET_LITE0, EFFICIENTNET_LITE1, EFFICIENTNET_LITE2),
            *(EFFICIENTNET_LITE0_C5, EFFICIENTNET_LITE2_C5),
            *(CAFFENET, VGG_CNN_M_1024, VGG16, ALEXNET),
        )
    }
