"""ImageNet weights from a file, or from the publisher of the network."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.error import URLError

import torch
from safetensors.torch import load_file
from torch import Tensor

from frcnn_cli.engine.network.backbones.base import Backbone, Pretrained
from frcnn_proposals.errors import InputError, reason
from frcnn_proposals.reading import open_file

# Keys under which training scripts store the state dict.
_WRAPPERS = ("state_dict", "model_state_dict", "model")
# The prefix that torch's DataParallel adds to every name.
_PARALLEL = "module."


def load_pretrained(backbone: Backbone, file: Path | None) -> Pretrained:
    """Load the ImageNet weights of a backbone.

    file: .pth or .safetensors of the published network; None takes the weights from its package or
    publisher. Raises InputError if they cannot be read, belong to another network, or are not
    finite.
    """
    published = _download(backbone) if file is None else read_state(file)
    try:
        pretrained = backbone.read(published)
    except (KeyError, ValueError) as error:
        reason = f"{error.args[0]} is missing" if isinstance(error, KeyError) else error
        raise InputError(
            f"{file or backbone.name}: these are not weights of {backbone.name} ({reason}).\n"
            "Use a file with ImageNet weights of that network."
        ) from error
    for name, value in (pretrained.features | pretrained.head).items():
        if not torch.isfinite(value).all():
            raise InputError(
                f"{file or backbone.name}: {name} contains values that are not finite.\n"
                "Use other weights of the network."
            )
    return pretrained


def _download(backbone: Backbone) -> Mapping[str, Tensor]:
    try:
        return backbone.download()
    except (URLError, OSError, RuntimeError) as error:
        raise InputError(
            f"The ImageNet weights of {backbone.name} could not be downloaded ({reason(error)}).\n"
            "Give them as --weights FILE, or start from random weights with --weights none."
        ) from error


def read_state(path: Path) -> Mapping[str, Tensor]:
    """Read named tensors from a file without running code from it.

    A .pth file may wrap them ({"state_dict": ...}) or prefix every name with `module.`.
    """
    try:
        if path.suffix == ".safetensors":
            state: object = load_file(path)
        else:
            with open_file(path) as file:
                state = torch.load(file, map_location="cpu", weights_only=True)
    except FileNotFoundError as error:
        raise InputError(f"{path}: file not found.") from error
    except Exception as error:  # a damaged file can raise any exception
        raise InputError(
            f"{path}: the weights cannot be read ({type(error).__name__}).\n"
            "Use a .pth state dict or a .safetensors file."
        ) from error
    return _unwrapped(path, state)


def _unwrapped(path: Path, state: object) -> Mapping[str, Tensor]:
    if isinstance(state, Mapping):
        inner = [state[key] for key in _WRAPPERS if isinstance(state.get(key), Mapping)]
        named = inner[0] if inner else state
        if named and all(isinstance(value, Tensor) for value in named.values()):
            parallel = all(str(name).startswith(_PARALLEL) for name in named)
            return {str(k).removeprefix(_PARALLEL if parallel else ""): v for k, v in named.items()}
    raise InputError(f"{path}: the file contains no state dict (a dict from names to tensors).")
