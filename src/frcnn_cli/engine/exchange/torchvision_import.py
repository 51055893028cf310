"""torchvision's classification checkpoints as weights to train from."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from frcnn_cli.engine.network.backbones.base import Backbone
from frcnn_cli.engine.network.backbones.defaults import DEFAULTS, TORCHVISION
from frcnn_cli.engine.network.backbones.find import find_backbone
from frcnn_cli.engine.network.backbones.torchvision_networks import network_names
from frcnn_cli.engine.network.backbones.weights import load_pretrained, read_state
from frcnn_cli.engine.network.model import create_model
from frcnn_proposals.errors import MisuseError


def import_torchvision(path: Path, name: str | None = None) -> tuple[Backbone, dict[str, Tensor]]:
    """The backbone that a checkpoint is for, and its state, known to fit.

    The file is read without running code from it. name: of the network, as resnet50, or of one of
    our own backbones on torchvision's weights (vgg16, alexnet); None goes by the file's name.
    Raises InputError where it cannot be read or does not fit, MisuseError for an unknown name.
    """
    backbone = _backbone(path, name)
    load_pretrained(backbone, path)  # names and numbers
    create_model(backbone, ("object",), path)  # shapes
    return backbone, {key: value.contiguous() for key, value in read_state(path).items()}


def _backbone(path: Path, name: str | None) -> Backbone:
    """The network of that name, ours before torchvision's; by default the one in `path`'s name."""
    if name is None:
        stem = path.name.split("-")[0].split(".")[0].lower()
        if stem not in network_names():
            raise MisuseError(
                f"{path}: its name does not say which network it is. Name it, as --arch resnet50."
            )
        name = stem
    known = name in DEFAULTS or name.startswith(TORCHVISION)
    return find_backbone(name if known or name not in network_names() else TORCHVISION + name)
