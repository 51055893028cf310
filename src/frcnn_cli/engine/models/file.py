"""Files of models and checkpoints: safetensors with a JSON description, and no code.

A model file contains the weights and, in its metadata, everything needed to rebuild and use the
network: architecture, class names, preprocessing, box coding, and software versions. A file appears
under its name only when it is complete. Descriptions are read without torch.
"""

from __future__ import annotations

import json
import platform
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

from safetensors import SafetensorError, safe_open

from frcnn_cli import __version__
from frcnn_cli.engine.models.shipped.table import shipped_name
from frcnn_cli.engine.settings import Architecture, Preprocessing
from frcnn_proposals.errors import InputError, MisuseError, reason
from frcnn_proposals.files import write_whole
from frcnn_proposals.reading import open_file

if TYPE_CHECKING:
    from torch import Tensor

# 2 adds classifier and box_regression to the architecture, and the experiment to the origin. 3 adds
# resize to the preprocessing.
FORMAT = 3
_KEY = "frcnn"
# Raised when JSON of an unexpected structure is read.
MALFORMED = (
    *(KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError),
    RecursionError,
)


@dataclass(frozen=True)
class Stored:
    """Content of a model file. origin: JSON values about the training that produced the model."""

    architecture: Architecture
    tensors: dict[str, Tensor]
    origin: dict[str, Any] = field(default_factory=dict)


def save_tensors(
    path: Path, architecture: Architecture, tensors: Mapping[str, Tensor], origin: dict[str, Any]
) -> None:
    """Write tensors and their description to `path` (.safetensors), completely or not at all.

    Tensors keep their types; `weights` in the description records whether any is bfloat16.
    """
    import torch
    from safetensors.torch import save

    half = any(tensor.dtype == torch.bfloat16 for tensor in tensors.values())
    description = {
        "format": FORMAT,
        "architecture": asdict(architecture),
        "weights": "bfloat16" if half else "float32",
        "origin": origin,
        # All software that can change the results of a run.
        "versions": {
            "frcnn": __version__,
            "python": platform.python_version(),
            "torch": str(torch.__version__),
            "torchvision": metadata.version("torchvision"),
        },
    }
    contiguous = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    write_whole(path, save(contiguous, metadata={_KEY: json.dumps(description)}))


def load_tensors(path: Path) -> Stored:
    """Read a file written by save_tensors, and upgrade it if an older version wrote it.

    Raises InputError, which names the file, if it is missing, damaged, not a model, or of a newer
    format.
    """
    architecture, origin = read_architecture(path), read_description(path)["origin"]
    try:
        with safe_open(path, framework="pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (*MALFORMED, SafetensorError) as error:
        raise damaged(path, f"the tensors cannot be read ({reason(error)})") from error
    return upgraded(path, Stored(architecture, tensors, origin))


def read_architecture(path: Path) -> Architecture:
    """Read the architecture from a file, without its tensors. Raises like load_tensors."""
    try:
        return _architecture(read_description(path)["architecture"])
    except (*MALFORMED, MisuseError) as error:
        raise damaged(path, f"the description is damaged ({reason(error)})") from error


def read_description(path: Path) -> dict[str, Any]:
    """Read the JSON description of a file, without its tensors. Raises like load_tensors."""
    if not path.is_file():
        raise InputError(f"{path}: model file not found.")
    _check_readable(path)
    try:
        with safe_open(path, framework="numpy") as file:
            metadata = file.metadata() or {}
        description = json.loads(metadata[_KEY])
    except KeyError as error:
        raise damaged(path, "the file contains tensors, but is not a model of frcnn") from error
    except (SafetensorError, OSError, ValueError, RecursionError, MemoryError) as error:
        raise damaged(path, f"not a model file, or damaged ({reason(error)})") from error
    match description:
        case {"format": int(number), "origin": dict()} if 1 <= number <= FORMAT:
            return dict(description)
        case {"format": int(number), "origin": dict()} if number > FORMAT:
            raise InputError(
                f"{path}: format {number} is newer than this version's format {FORMAT}.\n"
                "Upgrade frcnn to read the file."
            )
    raise damaged(path, "the description is damaged")


def damaged(path: Path, problem: str) -> InputError:
    """The error for a file with this problem, and what to do."""
    if (version := _newer_version(path)) is not None:
        instruction = (
            f"frcnn {version} wrote the file: upgrade frcnn from {__version__} to read it."
        )
    elif shipped_name(path) is not None:
        instruction = "The file is part of frcnn: install the package again, or name another model."
    else:
        instruction = (
            "Create it again, or use another .safetensors file written by `frcnn train` or "
            "`frcnn compress`."
        )
    return InputError(f"{path}: {problem}.\n{instruction}")


def _newer_version(path: Path) -> str | None:
    """The version of frcnn that wrote a file, if it is newer than this one."""
    with suppress(*MALFORMED, SafetensorError, OSError):
        with safe_open(path, framework="numpy") as file:
            written = str(json.loads(file.metadata()[_KEY])["versions"]["frcnn"])
        first, second = ([int(part) for part in text.split(".")] for text in (written, __version__))
        return written if first > second else None
    return None


def describes_model(path: Path) -> bool:
    """Whether a .safetensors file was written by save_tensors; True for a folder."""
    if path.is_dir():
        return True
    _check_readable(path)
    try:
        with safe_open(path, framework="numpy") as file:
            return _KEY in (file.metadata() or {})
    except (SafetensorError, OSError):
        return False


def _check_readable(path: Path) -> None:
    """Raises InputError if the file cannot be opened; safetensors reports it as missing."""
    try:
        open_file(path).close()
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from error


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
        cascade=bool(values.get("cascade", False)),
        ranker=bool(values.get("ranker", False)),
        refinements=int(values.get("refinements", 0)),
        voting=bool(values.get("voting", False)),
    )


# In older versions, `vgg16` was torchvision's network, with numbered layers and floor pooling.
_NUMBERED = re.compile(r"features\.\d+\.")


def upgraded(path: Path, stored: Stored) -> Stored:
    """Convert the content of a model file to the networks of this version.

    A model on the former vgg16 becomes a model on torchvision:vgg16. In older files, the momenta of
    SGD are the only state of the optimizer. Raises InputError, which names `path`, for a checkpoint
    of the former vgg16, whose training cannot be continued exactly, and for an EfficientNet-Lite
    whose map had stride 16.
    """
    if any(name.endswith("features.lateral.weight") for name in stored.tensors):
        raise InputError(
            f"{path}: this model has the {stored.architecture.backbone} of an older version, "
            "with a feature map\nof stride 16. Use that version, or train the model again."
        )
    tensors = {_renamed(name): value for name, value in stored.tensors.items()}
    stored = replace(stored, tensors=tensors)
    if stored.architecture.backbone != "vgg16":
        return stored
    if any(name.startswith("model.features.0.") for name in stored.tensors):
        raise InputError(
            f"{path}: this run has the vgg16 of an older version, which is now torchvision:vgg16.\n"
            "Finish the run with that version, or train again."
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
