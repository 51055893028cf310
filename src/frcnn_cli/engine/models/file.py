"""Models and training states on disk: safetensors with a JSON description, nothing that runs.

A model file holds the weights and, in its metadata, all that rebuilds and uses the network:
architecture, class names, preprocessing, box coding, the versions of what wrote it. A file
appears under its name only when it is whole. Descriptions are read without torch.
"""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from frcnn_cli import __version__
from frcnn_cli.engine.settings import Architecture, Preprocessing
from frcnn_proposals.errors import InputError, MisuseError, reason
from frcnn_proposals.files import write_whole

if TYPE_CHECKING:
    from torch import Tensor

# 2: classifier and box_regression in the architecture, the whole experiment in the origin.
FORMAT = 2
_KEY = "frcnn"
# What JSON of another shape than expected raises when it is taken apart.
MALFORMED = (
    *(KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError),
    RecursionError,
)


@dataclass(frozen=True)
class Stored:
    """Content of a model file. origin: JSON values: the dataset and run that made the model."""

    architecture: Architecture
    tensors: dict[str, Tensor]
    origin: dict[str, Any] = field(default_factory=dict)


def save_tensors(
    path: Path, architecture: Architecture, tensors: Mapping[str, Tensor], origin: dict[str, Any]
) -> None:
    """Write tensors and their description to `path` (.safetensors), whole or not at all.

    Each keeps its type; the description says under `weights` whether some are bfloat16.
    """
    import torch
    from safetensors.torch import save

    half = any(tensor.dtype == torch.bfloat16 for tensor in tensors.values())
    description = {
        "format": FORMAT,
        "architecture": asdict(architecture),
        "weights": "bfloat16" if half else "float32",
        "origin": origin,
        # Of all software that can change the numbers of a run.
        "versions": {
            "frcnn": __version__,
            "python": platform.python_version(),
            "torch": str(torch.__version__),
            "torchvision": version("torchvision"),
        },
    }
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_whole(path, save(contiguous, metadata={_KEY: json.dumps(description)}))


def load_tensors(path: Path) -> Stored:
    """Read a file of save_tensors, upgraded if an older version wrote it.

    Raises InputError, naming the file, where it is missing, damaged, of another kind, or of
    a newer format.
    """
    architecture, origin = read_architecture(path), read_description(path)["origin"]
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (*MALFORMED, SafetensorError) as error:
        raise InputError(f"{path}: its tensors cannot be read ({reason(error)}).") from error
    return upgraded(path, Stored(architecture, tensors, origin))


def read_architecture(path: Path) -> Architecture:
    """The architecture of a file, without its tensors. Raises InputError likewise."""
    try:
        return _architecture(read_description(path)["architecture"])
    except (*MALFORMED, MisuseError) as error:
        raise InputError(f"{path}: its description is damaged ({reason(error)}).") from error


def read_description(path: Path) -> dict[str, Any]:
    """The JSON description of a file, without its tensors. Raises InputError likewise."""
    if not path.is_file():
        raise InputError(f"{path}: there is no such model file.")
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
        description = json.loads(metadata[_KEY])
    except KeyError as error:
        raise InputError(f"{path}: these are tensors, but not a model of frcnn.") from error
    except (SafetensorError, OSError, ValueError, RecursionError, MemoryError) as error:
        raise InputError(
            f"{path}: this is no model file, or a damaged one ({reason(error)}).\n"
            "Models are written by `frcnn train` and `frcnn compress` as .safetensors."
        ) from error
    match description:
        case {"format": int(number), "origin": dict()} if number <= FORMAT:
            return dict(description)
        case {"format": int(number), "origin": dict()}:
            raise InputError(
                f"{path}: written in format {number}, newer than this version's {FORMAT}. "
                "Upgrade frcnn to read it."
            )
    raise InputError(f"{path}: its description is damaged.")


def describes_model(path: Path) -> bool:
    """Whether a .safetensors file, or the one in a run's folder, was written by save_tensors."""
    if path.is_dir():
        return True
    try:
        with safe_open(path, framework="numpy") as file:
            return _KEY in (file.metadata() or {})
    except (SafetensorError, OSError):
        return False


def _architecture(values: dict[str, Any]) -> Architecture:
    preprocessing = dict(values["preprocessing"])
    for name in ("mean", "std"):
        preprocessing[name] = tuple(float(value) for value in preprocessing[name])
    return Architecture(
        backbone=str(values["backbone"]),
        classes=tuple(str(name) for name in values["classes"]),
        hidden=(int(values["hidden"][0]), int(values["hidden"][1])),
        preprocessing=Preprocessing(**preprocessing),
        box_coding=values["box_coding"],
        ranks={str(name): int(rank) for name, rank in values["ranks"].items()},
        pretrained=bool(values.get("pretrained", True)),
        classifier=values.get("classifier", "softmax"),
        box_regression=bool(values.get("box_regression", True)),
    )


# `vgg16` was torchvision's network once, its layers numbered, its pooling rounding down.
_NUMBERED = re.compile(r"features\.\d+\.")


def upgraded(path: Path, stored: Stored) -> Stored:
    """What a model file held, for the networks of this version.

    A model on the former vgg16 is now one on torchvision:vgg16. Of the optimizer, older files have
    only the momenta of SGD. Raises InputError, naming `path`, for a checkpoint of the
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
