"""Models that older versions wrote, upgraded to the networks of this version."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from frcnn_cli.engine.models.file import Stored
from frcnn_proposals.errors import InputError

# `vgg16` was torchvision's network once, its layers numbered, its pooling rounding down.
_NUMBERED = re.compile(r"features\.\d+\.")


def upgraded(path: Path, stored: Stored) -> Stored:
    """What a model file held, for the networks of this version.

    A model on the former vgg16 is now one on torchvision:vgg16. Older checkpoints have SGD's
    momenta alone of their optimizer. Raises InputError, naming `path`, for a checkpoint of the
    former vgg16, whose training would not continue as it began, and for EfficientNet-Lite from
    before its map had stride 8.
    """
    if any(name.endswith("features.lateral.weight") for name in stored.tensors):
        raise InputError(
            f"{path}: an older version trained this on another {stored.architecture.backbone}, "
            "with a feature map\nof stride 16. Use it with that version, or train anew."
        )
    tensors = {_renamed(name): value for name, value in stored.tensors.items()}
    stored = replace(stored, tensors=tensors)
    if stored.architecture.backbone != "vgg16":
        return stored
    if any(name.startswith("model.features.0.") for name in stored.tensors):
        raise InputError(
            f"{path}: an older version began this run on another vgg16, now torchvision:vgg16.\n"
            "Finish it with that version, or train anew."
        )
    if "features.0.weight" not in stored.tensors:
        return stored
    return replace(
        stored,
        architecture=replace(stored.architecture, backbone="torchvision:vgg16"),
        tensors={
            f"features.{name}" if _NUMBERED.match(name) else name: value
            for name, value in stored.tensors.items()
        },
    )


def _renamed(name: str) -> str:
    former = "momentum."
    if name.startswith(former):
        return f"optimizer.momentum_buffer.{name.removeprefix(former)}"
    return name
