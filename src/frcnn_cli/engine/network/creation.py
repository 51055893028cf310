"""Create a network with ImageNet weights, or rebuild the one of a model file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from frcnn_cli.engine.network.backbones.base import Backbone
from frcnn_cli.engine.network.backbones.weights import load_pretrained
from frcnn_cli.engine.network.model import FastRCNN
from frcnn_cli.engine.settings import Architecture, Preprocessing
from frcnn_cli.engine.settings.network import SECOND
from frcnn_proposals.errors import InputError, reason


def create_model(
    backbone: Backbone,
    classes: tuple[str, ...],
    weights: str | Path = "imagenet",
    preprocessing: Preprocessing | None = None,
    seed: int = 0,
    cascade: bool = False,
    ranker: bool = False,
) -> FastRCNN:
    """Create a network for training, with ImageNet features and Gaussian sibling layers.

    weights: `imagenet`, `none`, or a file with the backbone's ImageNet weights. preprocessing:
    default, the backbone's; if its pixels are the backbone's, they are replaced by those that the
    weights were trained on. cascade, ranker: whether it has a second head, and a ranker. Raises
    InputError if the weights cannot be read or do not fit.
    """
    file = None if weights in ("imagenet", "none") else Path(weights)
    pretrained = None if weights == "none" else load_pretrained(backbone, file)
    preprocessing = preprocessing or backbone.preprocessing
    is_default = preprocessing == preprocessing.with_pixels_of(backbone.preprocessing)
    if pretrained is not None and is_default:
        preprocessing = preprocessing.with_pixels_of(pretrained.preprocessing)
    torch.manual_seed(seed)
    model = FastRCNN(
        Architecture(
            backbone=backbone.name,
            classes=classes,
            hidden=backbone.hidden,
            preprocessing=preprocessing,
            pretrained=pretrained is not None,
            cascade=cascade,
            ranker=ranker,
        )
    )
    for head in model.heads:
        head.draw_sibling_layers()
    if pretrained is not None:
        state = {f"features.{name}": value for name, value in pretrained.features.items()}
        prefixes = ("", SECOND)[: len(model.heads)]
        state |= {prefix + name: value for prefix in prefixes
                  for name, value in pretrained.head.items()}  # fmt: skip
        new = ["ranker.", *(f"features.{name}" for name in backbone.new_layers)]
        layers = ("score.", "box.", "offset_", *(() if pretrained.head else ("fc6.", "fc7.")))
        new += [prefix + layer for prefix in prefixes for layer in layers]
        _load(model, state, tuple(new), file)
    return model.to(memory_format=torch.channels_last)


def rebuild_model(architecture: Architecture, tensors: Mapping[str, Tensor]) -> FastRCNN:
    """Build the network of an architecture with the given weights, in evaluation mode.

    It is first built on the meta device, so that it needs only the memory of its tensors, whatever
    sizes the architecture claims. Raises RuntimeError if the weights do not fit.
    """
    with torch.device("meta"):
        model = FastRCNN(architecture)
    # Copied, since sums depend in the last bit on the alignment of memory, and the tensors of a
    # file are aligned differently from those of a new network.
    state = {name: value.float().clone() for name, value in tensors.items()}
    model.load_state_dict(state, assign=True)
    return model.to(memory_format=torch.channels_last).eval()


def with_ranks(architecture: Architecture, ranks: dict[str, int]) -> Architecture:
    """The same architecture with the given layers in two parts."""
    return replace(architecture, ranks={**architecture.ranks, **ranks})


def _load(
    model: FastRCNN, state: dict[str, Tensor], new: tuple[str, ...], file: Path | None
) -> None:
    """Load published weights; only layers that start with one of `new` may be missing."""
    name = model.architecture.backbone
    try:
        missing, unexpected = model.load_state_dict(state, strict=False)
    except RuntimeError as error:
        mismatch = reason(str(error).splitlines()[-1])
        raise InputError(f"{file or name}: the weights do not fit {name}: {mismatch}") from error
    misfits = [*(key for key in missing if not key.startswith(new)), *unexpected]
    if misfits:
        raise InputError(
            f"{file or name}: the weights do not fit {name}: {misfits[0]} is "
            f"{'not part of it' if misfits[0] in unexpected else 'missing'}."
        )
